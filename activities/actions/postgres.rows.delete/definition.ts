import { z } from 'zod';
import { defineAction, type PlanBody, type PostgresReader } from '../../../src/action/define.ts';
import { planDeletion } from '../../postgres/deletion.ts';
import { rowsFingerprint } from '../../postgres/fingerprint.ts';
import { introspect, refuseHazards } from '../../postgres/introspect.ts';
import { ROWS_MAX } from '../../postgres/limits.ts';
import {
  databaseNameSchema,
  parseTableName,
  quoteTable,
  type TableName,
  tableNameSchema,
  tableText,
} from '../../postgres/names.ts';
import { keysText, matchingRows } from '../../postgres/planned-rows.ts';
import { conditionSchema, whereSql, whereText } from '../../postgres/where.ts';

/**
 * Delete exactly the rows that a condition meets now, and those of other tables that go with them. It promises that the
 * plan names every row by key and content; it refuses to plan more rows than `limit`, and a delete that would change
 * rows besides.
 */
const LONGEST_RUN_MS = 30_000;
const TABLE_SIZE_SHOWN_MAX = 100_000;

const inputSchema = z.strictObject({
  database: databaseNameSchema,
  table: tableNameSchema,
  where: conditionSchema,
  limit: z.int().min(1).max(ROWS_MAX),
});
type Input = z.infer<typeof inputSchema>;

export const definition = defineAction<Input>({
  name: 'postgres.rows.delete',
  schemaVersion: 1,
  title: 'Delete rows of a PostgreSQL table',
  effectClass: 'reversible',
  targetKind: 'postgres',
  overshoot: [],
  longestRunMs: LONGEST_RUN_MS,
  input: inputSchema,
  target: (input) => input.database,
  resource: (input) => `${input.database}/${tableText(parseTableName(input.table))}`,
  describe: (input) => [
    { label: 'Database', value: input.database },
    { label: 'Table', value: tableText(parseTableName(input.table)) },
    { label: 'Where', value: whereText(input.where) },
    { label: 'At most', value: `${input.limit} rows` },
  ],
  plan,
  undo: {
    action: 'postgres.rows.restore',
    input: (requestId, { database }) => ({ database, requestId }),
  },
});

async function plan(input: Input, reader: PostgresReader): Promise<PlanBody> {
  const table = parseTableName(input.table);
  const facts = await introspect(reader, table);
  refuseHazards(table, facts);
  const where = whereSql(input.where, facts.columns);
  const { limit } = input;
  const matching = await matchingRows(reader, { table, facts, where, limit });
  const deletion = await planDeletion(reader, { table, facts, rows: matching, limit });
  const { rows, also, counts, overshoot, effects, insertTriggers } = deletion;
  return {
    version: 1,
    summary: [
      { label: 'Rows to delete', value: String(rows.length) },
      { label: 'Table', value: tableText(table) },
      { label: 'Table size', value: await tableExtent(reader, table, rows.length) },
      { label: 'First keys', value: keysText(rows) },
      { label: 'Fingerprint', value: rowsFingerprint(rows) },
      ...also,
      { label: 'Undo', value: undoText(insertTriggers) },
    ],
    counts,
    undo: 'kept',
    overshoot,
    effects,
  };
}

const extentSchema = z.strictObject({ counted: z.int() });

/**
 * How large the table is, as a power of ten that it holds at least: an exact count would change with every
 * insert elsewhere in the table, and each change of a plan voids its approvals.
 */
async function tableExtent(reader: PostgresReader, table: TableName, planned: number): Promise<string> {
  const [found] = await reader.query(
    `select count(*)::int4 as counted from (
       select from only ${quoteTable(table)} limit ${TABLE_SIZE_SHOWN_MAX}) as shown`,
  );
  const { counted } = extentSchema.parse(found);
  if (counted === 0) return 'no rows';
  const least = 10 ** Math.floor(Math.log10(counted));
  const size = `${least.toLocaleString('en')} rows or more`;
  return counted > planned ? size : `${size}, every one of them is deleted`;
}

function undoText(insertTriggers: readonly string[]): string {
  if (insertTriggers.length === 0) return 'kept: the target stores the rows and can put them back';
  return `kept: the target stores the rows; putting them back would fire ${insertTriggers.join(', ')}`;
}
