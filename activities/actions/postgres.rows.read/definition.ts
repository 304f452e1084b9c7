import { z } from 'zod';
import { defineAction, type PlanBody, type PostgresReader } from '../../../src/action/define.ts';
import { Refusal } from '../../../src/refusal.ts';
import { rowsFingerprint } from '../../postgres/fingerprint.ts';
import { introspect, refuseFormHazards, type TableFacts } from '../../postgres/introspect.ts';
import { READ_BYTES_MAX, READ_ROWS_MAX } from '../../postgres/limits.ts';
import {
  columnNameSchema,
  databaseNameSchema,
  parseTableName,
  tableNameSchema,
  tableText,
  visibleText,
} from '../../postgres/names.ts';
import { keysText, matchingRows } from '../../postgres/planned-rows.ts';
import { conditionSchema, whereSql, whereText } from '../../postgres/where.ts';

/**
 * Read exactly the rows that a condition meets now. It promises that a plan holds keys and hashes and no content: the
 * target compares them and hands the rows out itself. It refuses more rows than `limit`, and never cuts.
 */
const LONGEST_RUN_MS = 30_000;
const COLUMNS_MAX = 100;

const columnsSchema = z
  .array(columnNameSchema)
  .min(1)
  .max(COLUMNS_MAX)
  .refine((names) => new Set(names).size === names.length, 'expected each column once');
const inputSchema = z.strictObject({
  database: databaseNameSchema,
  table: tableNameSchema,
  /** All of the table without it. */
  columns: columnsSchema.optional(),
  where: conditionSchema,
  limit: z.int().min(1).max(READ_ROWS_MAX),
});
type Input = z.infer<typeof inputSchema>;

export const definition = defineAction<Input>({
  name: 'postgres.rows.read',
  schemaVersion: 1,
  title: 'Read rows of a PostgreSQL table',
  effectClass: 'read',
  targetKind: 'postgres',
  overshoot: [],
  longestRunMs: LONGEST_RUN_MS,
  input: inputSchema,
  target: (input) => input.database,
  resource: (input) => `${input.database}/${tableText(parseTableName(input.table))}`,
  describe: (input) => [
    { label: 'Database', value: input.database },
    { label: 'Table', value: tableText(parseTableName(input.table)) },
    { label: 'Columns', value: input.columns?.join(', ') ?? 'all' },
    { label: 'Where', value: whereText(input.where) },
    { label: 'At most', value: `${input.limit} rows` },
  ],
  plan,
});

async function plan(input: Input, reader: PostgresReader): Promise<PlanBody> {
  const table = parseTableName(input.table);
  const facts = await introspect(reader, table);
  refuseFormHazards(table, facts);
  // By name, so that a column that is added later is not handed out without a new plan.
  const columns = columnsOf(input, facts);
  const where = whereSql(input.where, facts.columns);
  const rows = await matchingRows(reader, { table, facts, where, limit: input.limit });
  return {
    version: 1,
    summary: [
      { label: 'Rows to read', value: String(rows.length) },
      { label: 'Table', value: tableText(table) },
      { label: 'Columns', value: columns.map(visibleText).join(', ') },
      { label: 'First keys', value: keysText(rows) },
      { label: 'Fingerprint', value: rowsFingerprint(rows) },
      {
        label: 'Handed out',
        value: `at most ${READ_BYTES_MAX.toLocaleString('en')} bytes, to the agent alone`,
      },
    ],
    counts: { rows: rows.length },
    undo: 'none',
    overshoot: [],
    effects: {
      kind: 'postgres.rows',
      operation: 'read',
      schema: table.schema,
      table: table.table,
      columns,
      rows,
    },
  };
}

function columnsOf(input: Input, { columns }: TableFacts): string[] {
  const known = [...columns.keys()];
  const asked = input.columns ?? known;
  const missing = asked.find((name) => !columns.has(name));
  if (missing !== undefined) throw new Refusal('INVALID_INPUT', `the table has no column "${missing}"`);
  return asked;
}
