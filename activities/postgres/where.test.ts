import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Column } from './column-value.ts';
import { openTestTarget, type TestTarget } from './test-target.ts';
import {
  CONDITION_DEPTH_MAX,
  CONDITION_PARTS_MAX,
  type Condition,
  conditionSchema,
  whereSql,
  whereText,
} from './where.ts';

const leaf: Condition = { column: 'a', op: 'eq', value: 1 };
const nested = (depth: number): Condition => (depth === 1 ? leaf : { not: nested(depth - 1) });
const columns = new Map<string, Column>([
  ['a', { name: 'a', type: 'integer', category: 'N' }],
  ['b', { name: 'b', type: 'text', category: 'S' }],
]);

describe('a condition', () => {
  test.each([
    ['a comparison', leaf],
    ['text', { column: 'b', op: 'like', value: "%'; drop table x; --" }],
    ['no value for null', { column: 'b', op: 'is-null' }],
    ['the deepest nesting', nested(CONDITION_DEPTH_MAX)],
    ['the longest list', { any: Array.from({ length: CONDITION_PARTS_MAX - 1 }, () => leaf) }],
  ])('with %s is accepted', (_, condition) => {
    expect(conditionSchema.safeParse(condition).success).toBe(true);
  });

  test.each([
    ['nothing', {}],
    ['null', null],
    ['an empty list', { all: [] }],
    ['an empty set', { column: 'a', op: 'in', value: [] }],
    ['two forms at once', { ...leaf, all: [leaf] }],
    ['a null to compare with', { column: 'a', op: 'eq', value: null }],
    ['a value for null', { column: 'a', op: 'is-null', value: 1 }],
    ['no value', { column: 'a', op: 'eq' }],
    ['an unknown operator', { column: 'a', op: '= 1 or 1', value: 1 }],
    ['too deep a nesting', nested(CONDITION_DEPTH_MAX + 1)],
    ['too long a list', { any: Array.from({ length: CONDITION_PARTS_MAX }, () => leaf) }],
    ['too many values', { column: 'a', op: 'in', value: Array.from({ length: 1_001 }, () => 1) }],
    ['an integer that JSON rounds', { column: 'a', op: 'eq', value: 2 ** 53 }],
    ['text with a null character', { column: 'b', op: 'eq', value: 'a\0b' }],
    ['half a character', { column: 'b', op: 'eq', value: '\uD800' }],
    ['a quote in a name', { ...leaf, column: 'a" = 1 or "a' }],
    ['a call for a name', { ...leaf, column: 'pg_sleep(9)' }],
    ['a homoglyph in a name', { ...leaf, column: '\u0430' }],
    ['a full-width name', { ...leaf, column: '\uFF41' }],
    ['a name of 64', { ...leaf, column: 'a'.repeat(64) }],
    ['an empty name', { ...leaf, column: '' }],
    ['a name with a line break', { ...leaf, column: 'a\n' }],
  ])('with %s is refused', (_, condition) => {
    expect(conditionSchema.safeParse(condition).success).toBe(false);
  });

  test('becomes SQL with bound values and text for people', () => {
    const condition = conditionSchema.parse({
      all: [
        { column: 'a', op: 'ge', value: 3 },
        {
          not: {
            any: [
              { column: 'b', op: 'in', value: ["x'", 'y'] },
              { column: 'b', op: 'is-null' },
            ],
          },
        },
      ],
    });
    expect(whereSql(condition, columns)).toEqual({
      text: '((t."a" >= ($1::text)::integer) and (not ((t."b" = any (($2::text[])::text[])) or (t."b" is null))))',
      values: ['3', ["x'", 'y']],
    });
    expect(whereText(condition)).toBe(`(a >= 3 and (not (b in ("x'", "y") or b is null)))`);
  });
});

describe('SQL and people mean the same rows', () => {
  type Row = { id: number; a: number | null; b: string | null };
  const numbers = [null, -1, 0, 1, 2];
  const words = [null, '', 'x', "x'", '\\', 'é\n'];
  const rows: Row[] = numbers.flatMap((a, i) => words.map((b, j) => ({ id: i * words.length + j, a, b })));
  let target: TestTarget;

  beforeAll(async () => {
    target = await openTestTarget('create table facts (id int primary key, a int, b text collate "C")');
    await target.admin.query('insert into facts select * from unnest($1::int[], $2::int[], $3::text[])', [
      rows.map((row) => row.id),
      rows.map((row) => row.a),
      rows.map((row) => row.b),
    ]);
  });
  afterAll(() => target.stop());

  const number = fc.integer({ min: -1, max: 3 });
  const word = fc.constantFrom('', 'x', "x'", '\\', 'é\n', 'none');
  const order = fc.constantFrom('eq', 'ne', 'lt', 'le', 'gt', 'ge');
  const { condition } = fc.letrec<{ condition: Condition }>((tie) => ({
    condition: fc.oneof(
      { maxDepth: 3 },
      fc.record({ column: fc.constant('a'), op: order, value: number }),
      fc.record({ column: fc.constant('b'), op: order, value: word }),
      fc.record({
        column: fc.constant('a'),
        op: fc.constant('in'),
        value: fc.array(number, { minLength: 1, maxLength: 3 }),
      }),
      fc.record({
        column: fc.constant('b'),
        op: fc.constant('in'),
        value: fc.array(word, { minLength: 1, maxLength: 3 }),
      }),
      fc.record({ column: fc.constantFrom('a', 'b'), op: fc.constantFrom('is-null', 'is-not-null') }),
      fc.record({ all: fc.array(tie('condition'), { minLength: 1, maxLength: 3 }) }),
      fc.record({ any: fc.array(tie('condition'), { minLength: 1, maxLength: 3 }) }),
      fc.record({ not: tie('condition') }),
    ),
  }));

  test('for any condition, with unknown as no match', async () => {
    await fc.assert(
      fc.asyncProperty(condition, async (any) => {
        const { text, values } = whereSql(any, columns);
        const found = await target.admin.query<{ id: number }>(
          `select id from facts t where ${text} order by id`,
          values,
        );
        const expected = rows.filter((row) => meets(any, row) === true).map((row) => row.id);
        expect(found.rows.map((row) => row.id)).toEqual(expected);
      }),
      { numRuns: 300 },
    );
  });

  /** SQL's three values; null is unknown. */
  function meets(part: Condition, row: Row): boolean | null {
    if ('all' in part) return every(part.all.map((inner) => meets(inner, row)));
    if ('any' in part) return invert(every(part.any.map((inner) => invert(meets(inner, row)))));
    if ('not' in part) return invert(meets(part.not, row));
    const held = part.column === 'a' ? row.a : row.b;
    if (!('value' in part)) return (held === null) === (part.op === 'is-null');
    if (held === null) return null;
    if (part.op === 'in') return part.value.includes(held);
    const [left, right] = [held, part.value];
    const answers = {
      eq: left === right,
      ne: left !== right,
      lt: left < right,
      le: left <= right,
      gt: left > right,
      ge: left >= right,
      like: false,
    };
    return answers[part.op];
  }

  function invert(value: boolean | null): boolean | null {
    return value === null ? null : !value;
  }

  function every(values: (boolean | null)[]): boolean | null {
    if (values.includes(false)) return false;
    return values.includes(null) ? null : true;
  }
});
