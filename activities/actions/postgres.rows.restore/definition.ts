import { z } from 'zod';
import { defineAction, type PlanBody, type PostgresReader } from '../../../src/action/define.ts';
import { Refusal } from '../../../src/refusal.ts';
import type { Going } from '../../postgres/cascades.ts';
import { countsOf, firedBy } from '../../postgres/deletion.ts';
import { rowsFingerprint } from '../../postgres/fingerprint.ts';
import { introspect, refuseHazards } from '../../postgres/introspect.ts';
import { databaseNameSchema, tableText } from '../../postgres/names.ts';
import { keysText, plannedRowSchema, rowsText } from '../../postgres/planned-rows.ts';

/**
 * Put back what one request deleted, all of it once or nothing. It promises that people are shown which rows would
 * come back, by the target's own record; it refuses where nothing is kept, or where it was put back before.
 */
const LONGEST_RUN_MS = 30_000;

const inputSchema = z.strictObject({
  database: databaseNameSchema,
  /** Of the deletion, which is its effect key at the target. */
  requestId: z.string().regex(/^req_[A-Za-z0-9_-]{22}$/, "expected a request's id"),
});
type Input = z.infer<typeof inputSchema>;

export const definition = defineAction<Input>({
  name: 'postgres.rows.restore',
  schemaVersion: 1,
  title: 'Put deleted rows of a PostgreSQL table back',
  effectClass: 'reversible',
  targetKind: 'postgres',
  overshoot: [],
  longestRunMs: LONGEST_RUN_MS,
  input: inputSchema,
  target: (input) => input.database,
  resource: (input) => `${input.database}/undo/${input.requestId}`,
  describe: (input) => [
    { label: 'Database', value: input.database },
    { label: 'Undo of request', value: input.requestId },
  ],
  plan,
});

const keptSchema = z.strictObject({
  restored: z.boolean(),
  tables: z
    .array(
      z.strictObject({
        schema: z.string(),
        table: z.string(),
        rows: z.array(plannedRowSchema).nullable(),
        columnsSame: z.boolean(),
      }),
    )
    .min(1),
});

async function plan({ requestId }: Input, reader: PostgresReader): Promise<PlanBody> {
  const tables = await keptTables(requestId, reader);
  const [named, ...cascades] = tables;
  const fired = firedBy(tables, ({ insertTriggers }) => insertTriggers);
  return {
    version: 1,
    summary: [
      { label: 'Rows to put back', value: String(named.rows.length) },
      { label: 'Table', value: tableText(named.table) },
      { label: 'First keys', value: keysText(named.rows) },
      { label: 'Fingerprint', value: rowsFingerprint(named.rows) },
      ...cascades.map(({ table, rows }) => ({
        label: 'Also puts back',
        value: `${rowsText(rows.length)} of ${tableText(table)}: ${keysText(rows)}`,
      })),
      { label: 'Besides', value: besidesText(fired.names) },
      { label: 'Undo', value: 'none kept: the rows can be deleted again by a request' },
    ],
    counts: countsOf(tables),
    undo: 'none',
    overshoot: fired.overshoot,
    effects: {
      kind: 'postgres.rows',
      operation: 'restore',
      ...named.table,
      restores: requestId,
      rows: [...named.rows],
      cascades: cascades.map(({ table, rows }) => ({ ...table, rows: [...rows] })),
      triggers: fired.ids,
    },
  };
}

type Kept = Omit<Going, 'by'>;

/** The target's record says keys and hashes to this login, and never what was in the rows. The named table is first. */
async function keptTables(requestId: string, reader: PostgresReader): Promise<[Kept, ...Kept[]]> {
  const [found] = await reader.query('select firebreak.kept_rows($1) as kept', [requestId]);
  const kept = keptSchema.nullable().parse(found?.['kept'] ?? null);
  if (kept?.restored === true) {
    throw new Refusal('ALREADY_RESTORED', `the rows of request ${requestId} were put back before`);
  }
  const tables: Kept[] = [];
  for (const { schema, table, rows, columnsSame } of kept?.tables ?? []) {
    const name = { schema, table };
    if (rows === null) continue;
    if (!columnsSame) {
      throw new Refusal(
        'PLAN_UNSUPPORTED',
        `the columns of ${tableText(name)} have changed since the rows were deleted`,
      );
    }
    const facts = await introspect(reader, name);
    refuseHazards(name, facts);
    tables.push({ table: name, facts, rows });
  }
  const [named, ...cascades] = tables;
  if (named === undefined) {
    throw new Refusal('NOTHING_KEPT', `target "${reader.target}" keeps no rows of request ${requestId}`);
  }
  return [named, ...cascades];
}

function besidesText(fired: readonly string[]): string {
  if (fired.length === 0) return 'nothing else changes';
  return `putting them back fires ${fired.join(', ')}`;
}
