import { Refusal } from '../../src/refusal.ts';

export type Scalar = string | number | boolean;

/** A column as conditions and keys need it; `type` is SQL text from the catalog, without length or scale. */
export type Column = {
  name: string;
  type: string;
  /** PostgreSQL's type category, e.g. S for text, N for numbers, B for boolean, D for dates. */
  category: string;
};

const integerRanges: Record<string, readonly [bigint, bigint]> = {
  smallint: [-(2n ** 15n), 2n ** 15n - 1n],
  integer: [-(2n ** 31n), 2n ** 31n - 1n],
  bigint: [-(2n ** 63n), 2n ** 63n - 1n],
};
const INTEGER = /^-?\d{1,19}$/;
const NUMBER = /^-?\d{1,400}(?:\.\d{1,400})?(?:[eE][+-]?\d{1,4})?$/;
const DATE = '\\d{4}-\\d{2}-\\d{2}';
const TIME = '\\d{2}:\\d{2}(?::\\d{2}(?:\\.\\d{1,6})?)?';

/** Only fixed moments: "now" or "yesterday" would mean other rows each time that it is read. */
const forms: Record<string, { form: RegExp; expected: string }> = {
  numeric: { form: NUMBER, expected: 'a number' },
  real: { form: NUMBER, expected: 'a number' },
  'double precision': { form: NUMBER, expected: 'a number' },
  uuid: { form: /^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/, expected: 'a UUID' },
  date: { form: new RegExp(`^${DATE}$`), expected: 'a date as YYYY-MM-DD' },
  'timestamp without time zone': {
    form: new RegExp(`^${DATE}(?:[T ]${TIME})?$`),
    expected: 'a date, or date and time, without a zone',
  },
  'timestamp with time zone': {
    form: new RegExp(`^${DATE}[T ]${TIME}(?:Z|[+-]\\d{2}:\\d{2})$`),
    expected: 'a date and time with Z or an offset',
  },
};

/** The value as text that the server casts to the column's type. Throws INVALID_INPUT naming the column. */
export function checkValue(column: Column, value: Scalar): string {
  checkJsonType(column, value);
  const text = String(value);
  const range = integerRanges[column.type];
  if (range !== undefined) checkInteger({ column, text, range });
  const rule = forms[column.type];
  if (rule !== undefined && !rule.form.test(text)) throw unfit(column, rule.expected, text);
  if (rule === undefined && column.category === 'D') {
    throw new Refusal('INVALID_INPUT', `column "${column.name}" of type ${column.type} cannot be compared`);
  }
  return text;
}

function checkJsonType(column: Column, value: Scalar): void {
  if ((column.category === 'B') !== (typeof value === 'boolean')) {
    throw unfit(column, column.category === 'B' ? 'true or false' : 'text or a number', String(value));
  }
  if (typeof value === 'number' && column.category !== 'N') throw unfit(column, 'text', String(value));
}

type IntegerCheck = { column: Column; text: string; range: readonly [bigint, bigint] };

function checkInteger({ column, text, range: [least, most] }: IntegerCheck): void {
  const fits = INTEGER.test(text) && BigInt(text) >= least && BigInt(text) <= most;
  if (!fits) throw unfit(column, `an integer from ${least} to ${most}`, text);
}

function unfit(column: Column, expected: string, got: string): Refusal {
  return new Refusal(
    'INVALID_INPUT',
    `column "${column.name}" (${column.type}) expects ${expected}, got ${JSON.stringify(got)}`,
  );
}
