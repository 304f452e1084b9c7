import { z } from 'zod';
import { Refusal } from '../../src/refusal.ts';
import { type Column, checkValue, type Scalar } from './column-value.ts';
import { columnNameSchema, quoteIdentifier, visibleText } from './names.ts';

/**
 * Which rows are meant, as data and never as SQL text: a small language that a person can read on a card.
 * It promises that names are looked up in the catalog and values are bound. It refuses a condition that says
 * nothing. As in SQL, unknown is no match: a row whose column is null is met by `is-null` alone.
 */
export const CONDITION_DEPTH_MAX = 6;
export const CONDITION_PARTS_MAX = 50;
const CONDITION_VALUES_MAX = 1_000;
const VALUE_LENGTH_MAX = 1_000;

const comparisonOperators = { eq: '=', ne: '<>', lt: '<', le: '<=', gt: '>', ge: '>=' } as const;
const nullOperators = { 'is-null': 'is null', 'is-not-null': 'is not null' } as const;
type ComparisonOperator = keyof typeof comparisonOperators;
type NullOperator = keyof typeof nullOperators;

export type Condition =
  | { column: string; op: ComparisonOperator; value: Scalar }
  | { column: string; op: 'like'; value: string }
  | { column: string; op: 'in'; value: Scalar[] }
  | { column: string; op: NullOperator }
  | { all: Condition[] }
  | { any: Condition[] }
  | { not: Condition };

const textSchema = z
  .string()
  .max(VALUE_LENGTH_MAX)
  .refine((text) => text.isWellFormed() && !text.includes('\0'), 'expected text that PostgreSQL can hold');
const numberSchema = z
  .number()
  .refine(
    (number) => !Number.isInteger(number) || Number.isSafeInteger(number),
    'expected an integer within 2^53, or text',
  );
const scalarSchema = z.union([textSchema, numberSchema, z.boolean()]);
const listSchema = z.lazy(() => z.array(partSchema).min(1).max(CONDITION_PARTS_MAX));

const partSchema: z.ZodType<Condition> = z.union([
  z.strictObject({
    column: columnNameSchema,
    op: z.enum(['eq', 'ne', 'lt', 'le', 'gt', 'ge']),
    value: scalarSchema,
  }),
  z.strictObject({ column: columnNameSchema, op: z.literal('like'), value: textSchema }),
  z.strictObject({
    column: columnNameSchema,
    op: z.literal('in'),
    value: z.array(scalarSchema).min(1).max(CONDITION_VALUES_MAX),
  }),
  z.strictObject({ column: columnNameSchema, op: z.enum(['is-null', 'is-not-null']) }),
  z.strictObject({ all: listSchema }),
  z.strictObject({ any: listSchema }),
  z.strictObject({ not: z.lazy(() => partSchema) }),
]);

export const conditionSchema = partSchema.superRefine((condition, context) => {
  const size = sizeOf(condition);
  if (size.depth > CONDITION_DEPTH_MAX) {
    context.addIssue(`expected at most ${CONDITION_DEPTH_MAX} levels, got ${size.depth}`);
  }
  if (size.parts > CONDITION_PARTS_MAX) {
    context.addIssue(`expected at most ${CONDITION_PARTS_MAX} conditions, got ${size.parts}`);
  }
  if (size.values > CONDITION_VALUES_MAX) {
    context.addIssue(`expected at most ${CONDITION_VALUES_MAX} values, got ${size.values}`);
  }
});

type Size = { depth: number; parts: number; values: number };

function sizeOf(condition: Condition): Size {
  const inner = partsOf(condition).map(sizeOf);
  return {
    depth: 1 + Math.max(0, ...inner.map((size) => size.depth)),
    parts: 1 + inner.reduce((sum, size) => sum + size.parts, 0),
    values:
      inner.reduce((sum, size) => sum + size.values, 0) +
      ('op' in condition && condition.op === 'in' ? condition.value.length : 1),
  };
}

function partsOf(condition: Condition): Condition[] {
  if ('all' in condition) return condition.all;
  if ('any' in condition) return condition.any;
  return 'not' in condition ? [condition.not] : [];
}

export type WhereSql = { text: string; values: (string | string[])[] };

/** A boolean SQL expression over the table alias `t` with bound values, each cast to its column's own type. */
export function whereSql(condition: Condition, columns: ReadonlyMap<string, Column>): WhereSql {
  const values: WhereSql['values'] = [];
  const bind = (value: string | string[]): string => `$${values.push(value)}`;
  const write = (part: Condition): string => {
    if ('all' in part) return `(${part.all.map(write).join(' and ')})`;
    if ('any' in part) return `(${part.any.map(write).join(' or ')})`;
    if ('not' in part) return `(not ${write(part.not)})`;
    return `(${comparisonSql(part, columnOf(part.column, columns), bind)})`;
  };
  return { text: write(condition), values };
}

type Comparison = Extract<Condition, { op: string }>;

function comparisonSql(part: Comparison, column: Column, bind: (value: string | string[]) => string): string {
  const name = `t.${quoteIdentifier(column.name)}`;
  if (!('value' in part)) return `${name} ${nullOperators[part.op]}`;
  if (part.op === 'in') {
    const list = bind(part.value.map((value) => checkValue(column, value)));
    return `${name} = any ((${list}::text[])::${column.type}[])`;
  }
  if (part.op === 'like') {
    if (column.category === 'S') return `${name} like ${bind(part.value)}::text`;
    throw new Refusal('INVALID_INPUT', `like needs a text column, "${column.name}" is ${column.type}`);
  }
  const value = bind(checkValue(column, part.value));
  return `${name} ${comparisonOperators[part.op]} (${value}::text)::${column.type}`;
}

function columnOf(name: string, columns: ReadonlyMap<string, Column>): Column {
  const column = columns.get(name);
  if (column === undefined) throw new Refusal('INVALID_INPUT', `the table has no column "${name}"`);
  return column;
}

/** The condition as people read it, exact: every name, operator and value, with no character hidden. */
export function whereText(condition: Condition): string {
  if ('all' in condition) return `(${condition.all.map(whereText).join(' and ')})`;
  if ('any' in condition) return `(${condition.any.map(whereText).join(' or ')})`;
  if ('not' in condition) return `(not ${whereText(condition.not)})`;
  const { column } = condition;
  if (!('value' in condition)) return `${column} ${nullOperators[condition.op]}`;
  if (condition.op === 'in') return `${column} in (${condition.value.map(visibleText).join(', ')})`;
  if (condition.op === 'like') return `${column} like ${visibleText(condition.value)}`;
  return `${column} ${comparisonOperators[condition.op]} ${visibleText(condition.value)}`;
}
