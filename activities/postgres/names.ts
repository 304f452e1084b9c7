import { escapeIdentifier, escapeLiteral } from 'pg';
import { z } from 'zod';
import { Refusal } from '../../src/refusal.ts';

/** ASCII only, so that no letter of another alphabet passes for the one that a reader sees. */
const NAME = '[A-Za-z_][A-Za-z0-9_]{0,62}';
const COLUMN = new RegExp(`^${NAME}$`);
const TABLE = new RegExp(`^(?:(?<schema>${NAME})\\.)?(?<table>${NAME})$`);

export const databaseNameSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, "expected a configured target's name");
export const columnNameSchema = z.string().regex(COLUMN, 'expected a column name in ASCII');
export const tableNameSchema = z
  .string()
  .regex(TABLE, 'expected a table as "schema.name" or "name" in ASCII');

export type TableName = { schema: string; table: string };

/** `name` alone means `public.name`; upper and lower case are as the catalog holds them. */
export function parseTableName(text: string): TableName {
  const groups = TABLE.exec(text)?.groups;
  if (groups?.table === undefined) {
    throw new Refusal('INVALID_INPUT', 'expected a table as "schema.name" or "name" in ASCII');
  }
  return { schema: groups.schema ?? 'public', table: groups.table };
}

export function tableText(name: TableName): string {
  return `${name.schema}.${name.table}`;
}

export function quoteTable(name: TableName): string {
  return `${quoteIdentifier(name.schema)}.${quoteIdentifier(name.table)}`;
}

export function quoteIdentifier(name: string): string {
  return escapeIdentifier(name);
}

/** For names from the catalog that stand as text in a statement, where no parameter may stand. */
export function quoteLiteral(text: string): string {
  return escapeLiteral(text);
}

const INVISIBLE = /[[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]--[ ]]/gv;

/** JSON text in which what cannot be seen is written out, so that two values never look the same by it. */
export function visibleText(value: string | number | boolean): string {
  return JSON.stringify(value).replace(
    INVISIBLE,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}
