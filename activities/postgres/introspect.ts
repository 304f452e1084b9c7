import { z } from 'zod';
import type { PostgresReader } from '../../src/action/define.ts';
import { Refusal } from '../../src/refusal.ts';
import type { Column } from './column-value.ts';
import { type TableName, tableText } from './names.ts';
import {
  deleteTriggersSql,
  insertTriggersSql,
  type Reference,
  referenceSchema,
  referencesSql,
  type Trigger,
  triggerSchema,
} from './references.ts';

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
  /** Why a change of its rows cannot be followed, one sentence each. */
  changeHazards: readonly string[];
  /** Foreign keys onto it. */
  references: readonly Reference[];
  /** What deleting its rows fires, and what putting rows back fires. */
  deleteTriggers: readonly Trigger[];
  insertTriggers: readonly Trigger[];
};

const columnSchema = z.strictObject({ name: z.string(), type: z.string(), category: z.string() });
const factsSchema = z.strictObject({
  columns: z.array(columnSchema),
  key: z.array(z.string()),
  formHazards: z.array(z.string()),
  changeHazards: z.array(z.string()),
  references: z.array(referenceSchema),
  deleteTriggers: z.array(triggerSchema),
  insertTriggers: z.array(triggerSchema),
});

export async function introspect(reader: PostgresReader, name: TableName): Promise<TableFacts> {
  const [found] = await reader.query(factsSql, [name.schema, name.table], 'firebreak facts of a table');
  if (found === undefined) {
    throw new Refusal('INVALID_INPUT', `target "${reader.target}" has no table ${tableText(name)}`);
  }
  const facts = factsSchema.parse(found['facts']);
  const columns = new Map(facts.columns.map((column) => [column.name, column]));
  const key = facts.key.flatMap((column) => columns.get(column) ?? []);
  return { ...facts, columns, key };
}

/** PLAN_UNSUPPORTED when a change of rows would do what nobody can follow. */
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

/** Firebreak's own schemas in a target, as SQL literals. */
export const OWN_SCHEMAS = "'firebreak', 'firebreak_hands', 'firebreak_crypto'";

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
        and (n.nspname ~ '^pg_' or n.nspname in ('information_schema', ${OWN_SCHEMAS}))
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

/**
 * The same for a change of rows: rules rewrite statements into anything, also the ones by which PostgreSQL follows a
 * foreign key; and what is followed must be enforced from both of its ends, or rows could come between.
 */
export function changeHazardsSql(oid: string): string {
  return `
    select format('rule %I rewrites statements on %s', r.rulename,
        case when r.ev_class = ${oid} then 'it' else r.ev_class::pg_catalog.regclass::text end)
      from pg_catalog.pg_rewrite r join pg_catalog.pg_class c on c.oid = r.ev_class
      where c.relkind in ('r', 'p')
        and (r.ev_class = ${oid} or r.ev_class in (
          select f.conrelid from pg_catalog.pg_constraint f
            where f.confrelid = ${oid} and f.contype = 'f' and f.confdeltype in ('c', 'n', 'd')))
    union all
    select format('foreign key %I of %s is switched off in part', f.conname, f.conrelid::pg_catalog.regclass)
      from pg_catalog.pg_constraint f
      where f.confrelid = ${oid} and f.contype = 'f' and f.confdeltype in ('c', 'n', 'd')
        and exists (select from pg_catalog.pg_trigger g
          where g.tgconstraint = f.oid and g.tgenabled not in ('O', 'A'))`;
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
    'references', (
      select coalesce(json_agg(json_build_object('name', f.name, 'schema', f.schema, 'table', f.table,
          'onDelete', f."onDelete", 'readable', f.readable, 'condition', f.condition)), '[]')
        from (${referencesSql('relation.oid')}) as f),
    'deleteTriggers', (
      select coalesce(json_agg(g.*), '[]') from (${deleteTriggersSql('relation.oid')}) as g),
    'insertTriggers', (
      select coalesce(json_agg(g.*), '[]') from (${insertTriggersSql('relation.oid')}) as g)
  ) as facts
  from pg_catalog.pg_class relation
  join pg_catalog.pg_namespace space on space.oid = relation.relnamespace
  where space.nspname = $1 and relation.relname = $2 and relation.relkind in ('r', 'v', 'm', 'f', 'p')`;
