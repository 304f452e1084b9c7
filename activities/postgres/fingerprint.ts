import { canonicalDigest } from '../../src/canonical.ts';

/**
 * How a row is named by its content. Planner and target must print a row the same way, so every setting
 * that changes how PostgreSQL prints or reads a value is fixed here, once, for both sides.
 */
const fixedSettings = {
  // What a regclass or an operator means depends on the path; nobody but the server writes to pg_catalog.
  search_path: 'pg_catalog, pg_temp',
  TimeZone: "'UTC'",
  DateStyle: "'ISO, YMD'",
  IntervalStyle: "'postgres'",
  extra_float_digits: '1',
  bytea_output: "'hex'",
  lc_monetary: "'C'",
  xmlbinary: "'base64'",
  xmloption: "'content'",
  quote_all_identifiers: 'off',
  array_nulls: 'on',
  standard_conforming_strings: 'on',
  transform_null_equals: 'off',
  // With `off` a row policy is an error where it would otherwise hide rows.
  row_security: 'off',
} as const;

/** `SET` lines; `set local` for a transaction, `set` for the head of a function. */
export function settingLines(verb: 'set' | 'set local'): string[] {
  return Object.entries(fixedSettings).map(([name, value]) => `${verb} ${name} = ${value}`);
}

/**
 * Hex SHA-256 of a row's JSON text. `alias.*` and not `alias`: a column of that name would be taken instead
 * of the row.
 */
export function rowHashSql(alias: string): string {
  return `encode(sha256(convert_to(to_jsonb(${alias}.*)::text, 'UTF8')), 'hex')`;
}

export type PlannedRow = { key: Record<string, string>; hash: string };

/** One digest over every key and hash in their order: equal digests mean the same rows with the same content. */
export function rowsFingerprint(rows: readonly PlannedRow[]): string {
  return canonicalDigest(rows);
}
