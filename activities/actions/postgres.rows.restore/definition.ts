import { z } from 'zod';
import { defineAction, type PlanBody, type PostgresReader } from '../../../src/action/define.ts';
import { Refusal } from '../../../src/refusal.ts';
import { rowsFingerprint } from '../../postgres/fingerprint.ts';
import { introspect, refuseHazards, type TableFacts } from '../../postgres/introspect.ts';
import { databaseNameSchema, tableText, visibleText } from '../../postgres/names.ts';
import { keysText, plannedRowSchema } from '../../postgres/planned-rows.ts';

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
  schema: z.string(),
  table: z.string(),
  rows: z.array(plannedRowSchema).nullable(),
  restored: z.boolean(),
  columnsSame: z.boolean(),
});

async function plan({ requestId }: Input, reader: PostgresReader): Promise<PlanBody> {
  const { schema, table, rows } = await keptRows(requestId, reader);
  const facts = await introspect(reader, { schema, table });
  refuseHazards({ schema, table }, facts);
  return {
    version: 1,
    summary: [
      { label: 'Rows to put back', value: String(rows.length) },
      { label: 'Table', value: tableText({ schema, table }) },
      { label: 'First keys', value: keysText(rows) },
      { label: 'Fingerprint', value: rowsFingerprint(rows) },
      { label: 'Besides', value: besidesText(facts) },
      { label: 'Undo', value: 'none kept: the rows can be deleted again by a request' },
    ],
    counts: { rows: rows.length },
    undo: 'none',
    effects: { kind: 'postgres.rows', operation: 'restore', schema, table, restores: requestId, rows },
  };
}

/** The target's record says keys and hashes to this login, and never what was in the rows. */
async function keptRows(requestId: string, reader: PostgresReader) {
  const [found] = await reader.query('select firebreak.kept_rows($1) as kept', [requestId]);
  const kept = keptSchema.nullable().parse(found?.['kept'] ?? null);
  if (kept === null || kept.rows === null) {
    throw new Refusal('NOTHING_KEPT', `target "${reader.target}" keeps no rows of request ${requestId}`);
  }
  if (kept.restored) {
    throw new Refusal('ALREADY_RESTORED', `the rows of request ${requestId} were put back before`);
  }
  if (!kept.columnsSame) {
    const name = tableText(kept);
    throw new Refusal('PLAN_UNSUPPORTED', `the columns of ${name} have changed since the rows were deleted`);
  }
  return { ...kept, rows: kept.rows };
}

function besidesText({ insertTriggers }: TableFacts): string {
  if (insertTriggers.length === 0) return 'nothing else changes';
  return `putting them back fires ${insertTriggers.map(visibleText).join(', ')}`;
}
