import { z } from 'zod';
import type { PostgresReader } from '../../src/action/define.ts';
import { Refusal } from '../../src/refusal.ts';
import type { Column } from './column-value.ts';
import { type TableName, tableText } from './names.ts';

/**
 * What the catalog says about a table, read by any login: catalogs need no rights on the table itself.
 * It promises to name everything by which a delete would do more, or other, than the planned rows.
 */
export type TableFacts = {
  columns: ReadonlyMap<string, Column>;
  /** The primary key's columns in the key's order. */
  key: readonly Column[];
  /** Why nothing of this table can be planned exactly, one sentence each; empty is the good case. */
  formHazards: readonly string[];
  /** Why a change of its rows would do more than it says, one sentence each. */
  changeHazards: readonly string[];
  /** Enabled triggers that putting rows back would fire. */
  insertTriggers: readonly string[];
};

const columnSchema = z.strictObject({ name: z.string(), type: z.string(), category: z.string() });
const factsSchema = z.strictObject({
  columns: z.array(columnSchema),
  key: z.array(z.string()),
  formHazards: z.array(z.string()),
  changeHazards: z.array(z.string()),
  insertTriggers: z.array(z.string()),
});

export async function introspect(reader: PostgresReader, name: TableName): Promise<TableFacts> {
  const [found] = await reader.query(factsSql, [name.schema, name.table]);
  if (found === undefined) {
    throw new Refusal('INVALID_INPUT', `target "${reader.target}" has no table ${tableText(name)}`);
  }
  const facts = factsSchema.parse(found['facts']);
  const columns = new Map(facts.columns.map((column) => [column.name, column]));
  const key = facts.key.flatMap((column) => columns.get(column) ?? []);
  return { ...facts, columns, key };
}

/** PLAN_UNSUPPORTED when a change of rows would do more than the rows that people are shown. */
export function refuseHazards(name: TableName, facts: TableFacts): void {
  refuse(name, [...facts.formHazards, ...facts.changeHazards]);
}

/** Reading fires nothing: only the table's form stands in its way. */
export function refuseFormHazards(name: TableName, facts: TableFacts): void {
  refuse(name, facts.formHazards);
}

function refuse(name: TableName, hazards: readonly string[]): void {
  if (hazards.length === 0) return;
  throw new Refusal('PLAN_UNSUPPORTED', `${tableText(name)} cannot be planned: ${hazards.join('; ')}`, {
    details: { hazards },
  });
}

/**
 * Rows of one text column: why no row of the table of this oid can be named exactly. The target runs the same text
 * again, so that nothing that appeared after the plan goes unseen; the next one too, under its lock on the table.
 */
export function formHazardsSql(oid: string): string {
  return `
    select case c.relkind when 'v' then 'it is a view' when 'm' then 'it is a materialized view'
        when 'f' then 'it is a foreign table' when 'p' then 'it is partitioned'
        else 'it is not an ordinary table' end
      from pg_catalog.pg_class c where c.oid = ${oid} and c.relkind <> 'r'
    union all
    select 'it is a partition' from pg_catalog.pg_class c where c.oid = ${oid} and c.relispartition
    union all
    select 'it is temporary' from pg_catalog.pg_class c where c.oid = ${oid} and c.relpersistence = 't'
    union all
    select 'it belongs to the system or to Firebreak'
      from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where c.oid = ${oid}
        and (n.nspname ~ '^pg_' or n.nspname in ('information_schema', 'firebreak', 'firebreak_crypto'))
    union all
    select 'it inherits or is inherited from'
      from pg_catalog.pg_class c where c.oid = ${oid} and c.relkind = 'r' and not c.relispartition
        and exists (select from pg_catalog.pg_inherits i where i.inhparent = ${oid} or i.inhrelid = ${oid})
    union all
    select 'it has no primary key'
      from pg_catalog.pg_class c where c.oid = ${oid} and c.relkind = 'r'
        and not exists (
          select from pg_catalog.pg_index i where i.indrelid = ${oid} and i.indisprimary and i.indisvalid)
    union all
    select 'row-level security hides rows from this login' where pg_catalog.row_security_active(${oid})`;
}

/** The same for what a change of rows would do besides. */
export function changeHazardsSql(oid: string): string {
  return `
    select format('rule %I rewrites statements on it', r.rulename)
      from pg_catalog.pg_rewrite r join pg_catalog.pg_class c on c.oid = r.ev_class
      where r.ev_class = ${oid} and c.relkind = 'r'
    union all
    select format('trigger %I would fire on delete', g.tgname)
      from pg_catalog.pg_trigger g
      where g.tgrelid = ${oid} and not g.tgisinternal and g.tgenabled in ('O', 'A') and g.tgtype & 8 = 8
    union all
    select format('foreign key %I of %s would change rows there (on delete %s)', f.conname,
        f.conrelid::pg_catalog.regclass,
        case f.confdeltype when 'c' then 'cascade' when 'n' then 'set null' else 'set default' end)
      from pg_catalog.pg_constraint f
      where f.confrelid = ${oid} and f.contype = 'f' and f.confdeltype in ('c', 'n', 'd')`;
}

/** The type under any number of domains: a cast to a domain could cut a value to the domain's length. */
export function baseTypeSql(oid: string): string {
  return `(with recursive base (oid) as (
      select ${oid}
      union all
      select y.typbasetype from base join pg_catalog.pg_type y on y.oid = base.oid where y.typtype = 'd')
    select base.oid from base join pg_catalog.pg_type y on y.oid = base.oid where y.typtype <> 'd')`;
}

// format_type with -1 leaves length and scale out: 'abcdef' cast to varchar(3) would meet the row 'abc'.
const factsSql = `
  select json_build_object(
    'columns', (
      select coalesce(json_agg(json_build_object(
          'name', a.attname, 'type', format_type(b.oid, -1), 'category', b.typcategory) order by a.attnum), '[]')
        from pg_catalog.pg_attribute a
        join pg_catalog.pg_type b on b.oid = ${baseTypeSql('a.atttypid')}
        where a.attrelid = relation.oid and a.attnum > 0 and not a.attisdropped),
    'key', (
      select coalesce(json_agg(a.attname order by k.position), '[]')
        from pg_catalog.pg_index i
        cross join lateral unnest(i.indkey::pg_catalog.int2[]) with ordinality as k (attnum, position)
        join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
        where i.indrelid = relation.oid and i.indisprimary and k.position <= i.indnkeyatts),
    'formHazards', (
      select coalesce(json_agg(h.sentence), '[]') from (${formHazardsSql('relation.oid')}) as h (sentence)),
    'changeHazards', (
      select coalesce(json_agg(h.sentence), '[]') from (${changeHazardsSql('relation.oid')}) as h (sentence)),
    'insertTriggers', (
      select coalesce(json_agg(g.tgname order by g.tgname), '[]')
        from pg_catalog.pg_trigger g
        where g.tgrelid = relation.oid and not g.tgisinternal and g.tgenabled in ('O', 'A') and g.tgtype & 4 = 4)
  ) as facts
  from pg_catalog.pg_class relation
  join pg_catalog.pg_namespace space on space.oid = relation.relnamespace
  where space.nspname = $1 and relation.relname = $2 and relation.relkind in ('r', 'v', 'm', 'f', 'p')`;
