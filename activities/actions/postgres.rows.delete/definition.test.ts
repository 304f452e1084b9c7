import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { planBodySchema } from '../../../src/action/define.ts';
import { canonicalText } from '../../../src/canonical.ts';
import { openTestTarget, type TestTarget } from '../../postgres/test-target.ts';
import { definition } from './definition.ts';

const tables = `
  create schema sales;
  create table sales.orders (id bigint, line int, note text, primary key (line, id));
  insert into sales.orders select 9007199254740990 + n, n % 2, 'note ' || n from generate_series(1, 50) n;
  create table plain (id int primary key, at timestamptz, word text, code varchar(3), doc json, born date);
  insert into plain values (1, '2024-01-01T00:00:00Z', 'a', 'abc', null, null), (2, null, null, null, null, null);
  create table "Mixed" (id int primary key);
  create table nokey (id int);
  create view seen as select * from plain;
  create materialized view kept as select * from plain;
  create table parted (id int primary key) partition by range (id);
  create table part partition of parted for values from (0) to (10);
  create table elder (id int primary key);
  create table younger (primary key (id)) inherits (elder);
  create table hidden (id int primary key);
  alter table hidden enable row level security;
  create table ruled (id int primary key);
  create rule quiet as on delete to ruled do instead nothing;
  create function f() returns trigger language plpgsql as 'begin return null; end';
  create table watched (id int primary key);
  create trigger watch after delete on watched for each row execute function f();
  create table unwatched (id int primary key);
  create trigger watch after delete on unwatched for each row execute function f();
  alter table unwatched disable trigger watch;
  create trigger stamp before insert on unwatched for each row execute function f();
  create table parent (id int primary key);
  create table cascading (id int primary key, parent int references parent on delete cascade);
  create table parent2 (id int primary key);
  create table nulling (id int primary key, parent int references parent2 on delete set null);
  create table parent3 (id int primary key);
  create table resting (id int primary key, parent int references parent3 on delete restrict);
`;

let target: TestTarget;
beforeAll(async () => {
  target = await openTestTarget(tables);
  await target.admin.query('create table ungranted (id int primary key)');
});
afterAll(() => target.stop());

const all = { column: 'id', op: 'is-not-null' };
const inputOf = (table: string, where: unknown = all, limit = 100) => ({
  database: 'shop',
  table,
  where,
  limit,
});

describe('a plan', () => {
  test('names every row by key and content, in the order of the key', async () => {
    const plan = planBodySchema.parse(await target.plan(inputOf('sales.orders')));
    expect(plan.counts).toEqual({ rows: 50 });
    expect(plan.effects).toMatchObject({
      kind: 'postgres.rows',
      operation: 'delete',
      schema: 'sales',
      table: 'orders',
      rows: expect.arrayContaining([
        { key: { line: '0', id: '9007199254740992' }, hash: expect.stringMatching(/^[0-9a-f]{64}$/) },
      ]),
    });
    expect(plan.summary.map((line) => [line.label, line.value])).toEqual([
      ['Rows to delete', '50'],
      ['Table', 'sales.orders'],
      ['Table size', '10 rows or more, every one of them is deleted'],
      ['First keys', expect.stringContaining('and 45 more')],
      ['Fingerprint', expect.stringMatching(/^[\w-]{43}$/)],
      ['Undo', expect.stringContaining('kept')],
    ]);
    expect(plan.summary[3]?.value).toMatch(
      /^(id="9007199254740992",line="0"|line="0",id="9007199254740992"); /,
    );
  });

  test('is equal for equal state and differs when a row does', async () => {
    const first = await target.plan(inputOf('plain'));
    expect(canonicalText(await target.plan(inputOf('plain')))).toBe(canonicalText(first));
    await target.admin.query(`update plain set word = 'b' where id = 1`);
    expect(canonicalText(await target.plan(inputOf('plain')))).not.toBe(canonicalText(first));
  });

  test('does not change when rows that it spares do', async () => {
    const where = { column: 'id', op: 'eq', value: 2 };
    const first = await target.plan(inputOf('plain', where));
    await target.admin.query(`insert into plain values (3)`);
    expect(await target.plan(inputOf('plain', where))).toEqual(first);
    await target.admin.query(`delete from plain where id = 3`);
  });

  test('of exactly the limit is made, one row more is refused and never cut', async () => {
    await expect(target.plan(inputOf('sales.orders', all, 50))).resolves.toMatchObject({
      counts: { rows: 50 },
    });
    await expect(target.plan(inputOf('sales.orders', all, 49))).rejects.toMatchObject({
      code: 'PLAN_TOO_LARGE',
    });
  });

  test('of no rows is a plan', async () => {
    const plan = await target.plan(inputOf('plain', { column: 'id', op: 'eq', value: 99 }));
    expect(plan).toMatchObject({ counts: { rows: 0 }, effects: { rows: [] } });
  });

  test.each(['unwatched', 'watched', 'parent', 'parent2', 'parent3', 'Mixed'])(
    'is made for %s',
    async (table) => {
      await expect(target.plan(inputOf(table))).resolves.toMatchObject({ undo: 'kept' });
    },
  );

  test('says which triggers an undo would fire', async () => {
    const { summary } = await target.plan(inputOf('unwatched'));
    expect(summary.at(-1)?.value).toContain('putting them back would fire "stamp" of public.unwatched');
  });

  test.each([
    ['nokey', 'primary key'],
    ['seen', 'view'],
    ['kept', 'materialized view'],
    ['parted', 'partitioned'],
    ['part', 'partition'],
    ['elder', 'inherit'],
    ['younger', 'inherit'],
    ['hidden', 'row-level security'],
    ['ruled', 'rule quiet'],
    ['pg_catalog.pg_class', 'system'],
    ['ungranted', 'may not read'],
  ])('is refused for %s: %s', async (table, reason) => {
    await expect(target.plan(inputOf(table))).rejects.toMatchObject({
      code: 'PLAN_UNSUPPORTED',
      message: expect.stringContaining(reason),
    });
  });

  test.each([
    ['missing', all, 'no table public.missing'],
    ['mixed', all, 'no table public.mixed'],
    ['plain', { column: 'nope', op: 'eq', value: 1 }, 'no column "nope"'],
    ['plain', { column: 'id', op: 'eq', value: 'x' }, 'column "id"'],
    ['plain', { column: 'id', op: 'eq', value: 1.5 }, 'column "id"'],
    ['plain', { column: 'id', op: 'eq', value: 3_000_000_000 }, 'column "id"'],
    ['plain', { column: 'id', op: 'eq', value: true }, 'column "id"'],
    ['plain', { column: 'word', op: 'eq', value: 1 }, 'column "word"'],
    ['plain', { column: 'at', op: 'lt', value: 'now' }, 'column "at"'],
    ['plain', { column: 'at', op: 'lt', value: '2024-01-01T00:00:00' }, 'column "at"'],
    ['plain', { column: 'born', op: 'lt', value: '2024-02-31' }, '2024-02-31'],
    ['plain', { column: 'doc', op: 'eq', value: '{}' }, 'json'],
    ['plain', { column: 'id', op: 'like', value: '1%' }, '"id"'],
  ])('of %s where %j is refused as input', async (table, where, said) => {
    await expect(target.plan(inputOf(table, where))).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringContaining(said),
    });
  });

  test('does not cut a value to the length of its column', async () => {
    const equal = await target.plan(inputOf('plain', { column: 'code', op: 'eq', value: 'abc' }));
    const longer = await target.plan(inputOf('plain', { column: 'code', op: 'eq', value: 'abcd' }));
    expect([equal.counts, longer.counts]).toEqual([{ rows: 1 }, { rows: 0 }]);
  });
});

describe('the input', () => {
  test('is described whole', () => {
    const input = definition.input.parse(
      inputOf('plain', { not: { column: 'word', op: 'in', value: ['a', '\u202Eb'] } }),
    );
    expect(definition.describe(input)).toEqual([
      { label: 'Database', value: 'shop' },
      { label: 'Table', value: 'public.plain' },
      { label: 'Where', value: '(not word in ("a", "\\u{202e}b"))' },
      { label: 'At most', value: '100 rows' },
    ]);
    expect(definition.resource(input)).toBe('shop/public.plain');
    expect(definition.target(input)).toBe('shop');
  });

  test.each([
    ['an unknown member', { ...inputOf('plain'), force: true }],
    ['no condition', { database: 'shop', table: 'plain', limit: 1 }],
    ['an empty condition', inputOf('plain', {})],
    ['an empty list', inputOf('plain', { all: [] })],
    ['SQL for a condition', inputOf('plain', 'true')],
    ['SQL for a table', inputOf('plain; drop table plain')],
    ['a quoted table', inputOf('"plain"')],
    ['three names', inputOf('a.b.c')],
    ['a homoglyph', inputOf('pl\u0430in')],
    ['a line break', inputOf('plain\n')],
    ['a limit of none', inputOf('plain', all, 0)],
    ['a limit over 10,000', inputOf('plain', all, 10_001)],
    ['a broken limit', inputOf('plain', all, 1.5)],
    ['a name of no target', { ...inputOf('plain'), database: 'Shop ' }],
  ])('with %s is refused', (_, input) => {
    expect(definition.input.safeParse(input).success).toBe(false);
  });
});
