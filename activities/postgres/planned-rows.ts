import { z } from 'zod';
import type { PostgresReader } from '../../src/action/define.ts';
import { Refusal } from '../../src/refusal.ts';
import { type PlannedRow, rowHashSql } from './fingerprint.ts';
import type { TableFacts } from './introspect.ts';
import {
  quoteIdentifier,
  quoteLiteral,
  quoteTable,
  type TableName,
  tableText,
  visibleText,
} from './names.ts';
import type { WhereSql } from './where.ts';

/** Rows as a plan names them: by key and by the hash of their content, never by the content. */
type Match = { table: TableName; facts: TableFacts; where: WhereSql; limit: number };

export const plannedRowSchema = z.strictObject({ key: z.record(z.string(), z.string()), hash: z.string() });

/** PLAN_TOO_LARGE where more rows match than `limit`: a plan is never cut. */
export async function matchingRows(
  reader: PostgresReader,
  { table, facts, where, limit }: Match,
): Promise<PlannedRow[]> {
  const columns = facts.key.map((column) => `t.${quoteIdentifier(column.name)}`);
  // Key values travel as text: JSON numbers would round integers beyond 2^53 and decimals.
  const members = facts.key.map(
    (column) => `${quoteLiteral(column.name)}, t.${quoteIdentifier(column.name)}::text`,
  );
  const found = await reader.query(
    `select jsonb_build_object(${members.join(', ')}) as key, ${rowHashSql('t')} as hash
       from only ${quoteTable(table)} as t where ${where.text}
       ${columns.length === 0 ? '' : `order by ${columns.join(', ')}`} limit ${limit + 1}`,
    where.values,
  );
  if (found.length > limit) {
    throw new Refusal(
      'PLAN_TOO_LARGE',
      `expected at most ${limit} rows of ${tableText(table)}, but more match`,
    );
  }
  return z.array(plannedRowSchema).parse(found);
}

export function rowsText(count: number): string {
  return count === 1 ? '1 row' : `${count} rows`;
}

const KEYS_SHOWN_MAX = 5;

/** The first keys, for a card. */
export function keysText(rows: readonly PlannedRow[]): string {
  if (rows.length === 0) return 'none';
  const shown = rows.slice(0, KEYS_SHOWN_MAX).map(({ key }) => {
    const parts = Object.entries(key).map(([name, value]) => `${name}=${visibleText(value)}`);
    return parts.join(',');
  });
  return rows.length > shown.length
    ? `${shown.join('; ')} and ${rows.length - shown.length} more`
    : shown.join('; ');
}
