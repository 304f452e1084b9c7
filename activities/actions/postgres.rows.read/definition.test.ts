import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { planBodySchema } from '../../../src/action/define.ts';
import { canonicalText } from '../../../src/canonical.ts';
import { READ_BYTES_MAX, READ_ROWS_MAX } from '../../postgres/limits.ts';
import { openTestTarget, type TestTarget } from '../../postgres/test-target.ts';
import { definition } from './definition.ts';
import { effect } from './effect.ts';

const tables = `
  create domain whole as int;
  create table plain (id bigint primary key, t text, amount numeric, seen timestamptz, flag bool, small whole,
    "Odd name" text, body jsonb, photo bytea, note text);
  create function f() returns trigger language plpgsql as 'begin return null; end';
  create trigger watch after delete or update on plain for each row execute function f();
  create table child (id int primary key, parent bigint references plain on delete cascade);
  create table nokey (id int);
  create view seen as select * from plain;
  create table hidden (id int primary key);
  alter table hidden enable row level security;
`;
const SECRET = 'a secret of a row';

let target: TestTarget;
beforeAll(async () => {
  target = await openTestTarget(tables);
});
afterAll(() => target.stop());
beforeEach(async () => {
  await target.admin.query(`truncate plain, child; insert into plain
    select 9007199254740990 + n, '${SECRET} ' || n, 1.50, '2024-01-01T00:00:00.123456+02:00', n % 2 = 0, n, null,
      '{"n": 1.10}', '\\x00ff', 'n' from generate_series(1, 5) n`);
});

const ODD = { column: 'id', op: 'in', value: ['9007199254740991', '9007199254740993'] } as const;
const inputOf = (changes: object = {}) => ({
  database: 'shop',
  table: 'plain',
  where: ODD,
  limit: 10,
  ...changes,
});
const plan = (changes: object = {}) => target.plan(inputOf(changes), definition);
const perform = (credential: Parameters<typeof effect.perform>[0]) =>
  effect.perform(credential, target.executorUrl);

describe('a plan to read', () => {
  test('names rows by key and hash and columns by name, and holds no content', async () => {
    const body = planBodySchema.parse(await plan({ columns: ['t', 'id'] }));
    expect(body).toMatchObject({
      counts: { rows: 2 },
      undo: 'none',
      effects: { operation: 'read', columns: ['t', 'id'], rows: [{ key: { id: '9007199254740991' } }, {}] },
    });
    expect(canonicalText(body)).not.toContain(SECRET);
  });

  test('of all columns names each of them', async () => {
    const { effects } = await plan();
    expect(effects).toMatchObject({
      columns: ['id', 't', 'amount', 'seen', 'flag', 'small', 'Odd name', 'body', 'photo', 'note'],
    });
  });

  test('is made for a table with triggers and cascades, because reading fires none', async () => {
    await expect(plan()).resolves.toMatchObject({ counts: { rows: 2 } });
  });

  test.each(['nokey', 'seen', 'hidden', 'firebreak.effects'])('of %s is refused', async (table) => {
    await expect(plan({ table, where: { column: 'id', op: 'is-not-null' } })).rejects.toMatchObject({
      code: 'PLAN_UNSUPPORTED',
    });
  });

  test('of exactly the limit is made, one row more is refused and never cut', async () => {
    await expect(plan({ limit: 2 })).resolves.toMatchObject({ counts: { rows: 2 } });
    await expect(plan({ limit: 1 })).rejects.toMatchObject({ code: 'PLAN_TOO_LARGE' });
  });

  test('of a column that is not there is refused', async () => {
    await expect(plan({ columns: ['nope'] })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  });

  test.each([
    ['an unknown member', { force: true }],
    ['no columns', { columns: [] }],
    ['a column twice', { columns: ['t', 't'] }],
    ['SQL for a column', { columns: ['t, note'] }],
    ['more rows than one read hands out', { limit: READ_ROWS_MAX + 1 }],
  ])('with %s is refused', (_, changes) => {
    expect(definition.input.safeParse(inputOf()).success).toBe(true);
    expect(definition.input.safeParse(inputOf(changes)).success).toBe(false);
  });
});

describe('a read', () => {
  test('hands out exactly the planned rows and columns, without rounding', async () => {
    const credential = target.borrow(await plan());
    const row = {
      id: '9007199254740991',
      t: `${SECRET} 1`,
      amount: '1.50',
      seen: '2023-12-31 22:00:00.123456+00',
      flag: false,
      small: 1,
      'Odd name': null,
      body: '{"n": 1.10}',
      photo: '\\x00ff',
      note: 'n',
    };
    await expect(perform(credential)).resolves.toEqual({
      counts: { rows: 2 },
      repeated: false,
      rows: [row, { ...row, id: '9007199254740993', t: `${SECRET} 3`, small: 3 }],
    });
    const few = await perform(target.borrow(await plan({ columns: ['small', 'flag'] })));
    expect(few.rows).toEqual([
      { small: 1, flag: false },
      { small: 3, flag: false },
    ]);
  });

  test('changes no row, is recorded with its effect key, and is done once', async () => {
    const credential = target.borrow(await plan(), { effectKey: 'read once' });
    await perform(credential);
    await expect(perform(credential)).resolves.toEqual({ counts: { rows: 2 }, repeated: true });
    const { rows } = await target.admin.query(
      `select counts, (select count(*)::int from firebreak.kept) as kept, (select count(*)::int from plain) as left
       from firebreak.effects where effect_key = 'read once'`,
    );
    expect(rows).toEqual([{ counts: { rows: 2 }, kept: 0, left: 5 }]);
    const record = await target.admin.query('select e::text as text from firebreak.effects e');
    expect(JSON.stringify(record.rows)).not.toContain(SECRET);
  });

  test('of rows that another transaction holds locked does not wait for it', async () => {
    const credential = target.borrow(await plan());
    await target.admin.query('begin; select * from plain for update');
    await expect(perform(credential)).resolves.toMatchObject({ counts: { rows: 2 } });
    await target.admin.query('rollback');
  });

  test.each([
    ['a row that changed', `update plain set note = 'other' where small = 3`, 'ROWS_CHANGED'],
    ['a row that is gone', 'delete from plain where small = 3', 'ROWS_CHANGED'],
    ['a table that hides rows by now', 'alter table plain enable row level security', 'TARGET_REFUSED'],
    ['a table that is none any more', 'alter table plain rename to other', 'TARGET_REFUSED'],
  ])('of %s hands out nothing', async (_, change, code) => {
    const credential = target.borrow(await plan({ columns: ['t'] }));
    await target.admin.query(`begin; ${change}; commit`);
    await expect(perform(credential)).rejects.toMatchObject({ code, details: { outcome: 'none' } });
    await target.admin.query('alter table if exists other rename to plain');
    await target.admin.query('alter table plain disable row level security');
  });

  test.each([
    ['gateMac', { gateMac: 'A'.repeat(43) }],
    ['credentialsMac', { credentialsMac: 'A'.repeat(43) }],
  ])('without its %s hands out nothing', async (_, wrong) => {
    const credential = target.borrow(await plan());
    await expect(perform({ ...credential, ...wrong })).rejects.toMatchObject({ code: 'MAC_INVALID' });
    await expect(perform(credential)).resolves.toMatchObject({ repeated: false });
  });

  test.each([
    ['of another column, by a statement that names SQL', ['t" from plain; --'], 'ROWS_CHANGED'],
    ['of a column twice', ['t', 't'], 'ROWS_CHANGED'],
    ['of a system column', ['ctid'], 'ROWS_CHANGED'],
    ['of no column', [], 'TARGET_REFUSED'],
  ])('%s is refused by the target itself', async (_, columns, code) => {
    const { effects } = await plan();
    const altered = { effects: { ...Object(effects), columns } };
    await expect(perform(target.borrow(altered))).rejects.toMatchObject({ code });
  });

  test('of as many bytes as one read hands out is done, of more is refused', async () => {
    await target.admin.query(`update plain set note = repeat('x', $1) where small = 1`, [
      READ_BYTES_MAX - 100,
    ]);
    const where = { column: 'small', op: 'eq', value: 1 };
    const fits = await perform(target.borrow(await plan({ columns: ['note'], where })));
    expect(fits.counts).toEqual({ rows: 1 });
    const larger = target.borrow(await plan({ columns: ['note', 't', 'seen', 'body', 'id'], where }));
    await expect(perform(larger)).rejects.toMatchObject({ code: 'TOO_LARGE', details: { outcome: 'none' } });
  });

  test('of more rows than one read hands out is refused by the target itself', async () => {
    await target.admin.query(`insert into plain (id) select generate_series(1, ${READ_ROWS_MAX + 1})`);
    const where = { column: 'id', op: 'le', value: READ_ROWS_MAX + 1 };
    const { effects } = await target.plan(inputOf({ table: 'plain', where: ODD }), definition);
    const found = await target.admin.query(
      `select jsonb_build_object('key', jsonb_build_object('id', id::text), 'hash', repeat('0', 64)) as item
       from plain where id <= ${where.value}`,
    );
    const rows = found.rows.map(({ item }) => item);
    const larger = target.borrow({ effects: { ...Object(effects), rows } });
    await expect(perform(larger)).rejects.toMatchObject({ code: 'TOO_LARGE' });
  });
});
