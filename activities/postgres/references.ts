import { z } from 'zod';

/**
 * What a delete of a table's rows reaches besides: the rows that refer to them, and triggers. The texts are run by the
 * planner and again by the target, so that nothing that appeared after the plan goes unseen.
 */
export const referenceSchema = z.strictObject({
  name: z.string(),
  /** The table that refers. */
  schema: z.string(),
  table: z.string(),
  onDelete: z.enum(['no action', 'restrict', 'cascade', 'set null', 'set default']),
  /** Whether this login may read the table that refers. */
  readable: z.boolean(),
  /** That the row `t` refers to the row `r`, in the very operators by which PostgreSQL enforces it. */
  condition: z.string(),
});
export type Reference = z.infer<typeof referenceSchema>;

export const triggerSchema = z.strictObject({
  /** `schema.table trigger`, quoted where SQL would: what a statement names. */
  id: z.string(),
  schema: z.string(),
  table: z.string(),
  name: z.string(),
  perRow: z.boolean(),
  /** It has a WHEN: it may fire for fewer rows. */
  conditional: z.boolean(),
});
export type Trigger = z.infer<typeof triggerSchema>;

/** Rows of a reference each, in a fixed order: every foreign key onto the table of this oid that is enforced. */
export function referencesSql(oid: string): string {
  return `
    select f.conname::text as name, f.conrelid as child, n.nspname::text as "schema", c.relname::text as "table",
        case f.confdeltype when 'a' then 'no action' when 'r' then 'restrict' when 'c' then 'cascade'
          when 'n' then 'set null' else 'set default' end as "onDelete",
        pg_catalog.has_table_privilege(c.oid, 'select') as readable,
        (select string_agg(format('r.%I operator(%I.%s) t.%I%s', refd.attname, s.nspname, o.oprname, own.attname,
              case when refd.attcollation <> own.attcollation and refd.attcollation <> 0 and own.attcollation <> 0
                then (select format(' collate %I.%I', ns.nspname, co.collname) from pg_catalog.pg_collation co
                  join pg_catalog.pg_namespace ns on ns.oid = co.collnamespace where co.oid = refd.attcollation)
                else '' end), ' and ' order by k.position)
          from unnest(f.conkey, f.confkey, f.conpfeqop) with ordinality as k (own, refd, operator, position)
          join pg_catalog.pg_attribute own on own.attrelid = f.conrelid and own.attnum = k.own
          join pg_catalog.pg_attribute refd on refd.attrelid = f.confrelid and refd.attnum = k.refd
          join pg_catalog.pg_operator o on o.oid = k.operator
          join pg_catalog.pg_namespace s on s.oid = o.oprnamespace) as condition
      from pg_catalog.pg_constraint f
      join pg_catalog.pg_class c on c.oid = f.conrelid
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where f.confrelid = ${oid} and f.contype = 'f'
        and exists (select from pg_catalog.pg_trigger g where g.tgconstraint = f.oid)
      order by n.nspname, c.relname, f.conname`;
}

/**
 * Rows of a trigger each: the table's own on delete, and those of a whole statement on tables that refer to it, which
 * PostgreSQL fires even where no row there refers to any that goes.
 */
export function deleteTriggersSql(oid: string): string {
  return triggersSql(`g.tgrelid = ${oid} and g.tgtype & 8 = 8
        or g.tgtype & 1 = 0 and exists (
          select from pg_catalog.pg_constraint f
            where f.confrelid = ${oid} and f.contype = 'f' and f.conrelid = g.tgrelid
              and (f.confdeltype = 'c' and g.tgtype & 8 = 8
                or f.confdeltype in ('n', 'd') and g.tgtype & 16 = 16))`);
}

/** The same for rows that are put back. */
export function insertTriggersSql(oid: string): string {
  return triggersSql(`g.tgrelid = ${oid} and g.tgtype & 4 = 4`);
}

function triggersSql(fires: string): string {
  return `
    select format('%I.%I %I', n.nspname, c.relname, g.tgname) as id, n.nspname::text as "schema",
        c.relname::text as "table", g.tgname::text as name, g.tgtype & 1 = 1 as "perRow",
        g.tgqual is not null as conditional
      from pg_catalog.pg_trigger g
      join pg_catalog.pg_class c on c.oid = g.tgrelid
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where not g.tgisinternal and g.tgenabled in ('O', 'A') and (${fires})
      order by n.nspname, c.relname, g.tgname`;
}
