import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { effect } from '../actions/postgres.rows.delete/effect.ts';
import { openTestTarget, type TestTarget, withClient } from './test-target.ts';

const tables = `
  create domain short as varchar(8) check (value <> '');
  create type mood as enum ('calm', 'cross');
  create type place as (street text, number int);
  create table odd (
    id bigint generated always as identity, part text,
    amount numeric, ratio float8, small float4, photo bytea, doc json, body jsonb, tags text[], grid int[][],
    seen timestamptz, day date, span interval, note text, flag boolean, who short, feels mood, home place,
    range int4range, cost money, kind regclass, code char(5), bits bit(4),
    total numeric generated always as (amount * 2) stored,
    primary key (id, part));
  create table plain (id int primary key, t text);
  create table parent (id int primary key);
  create table child (id int primary key, parent int references parent deferrable initially deferred);
`;
const rows = `
  insert into odd (id, part, amount, ratio, small, photo, doc, body, tags, grid, seen, day, span, note, flag, who,
      feels, home, range, cost, kind, code, bits) overriding system value values
    (9007199254740993, 'a''"b', 1.500, 0.1, 3.4e38, '\\x00ff5c', '{"b" : 1,  "a": null}', 'null',
      array['x', null, '', 'a,"b"', E'\\\\'], '{{1,2},{3,4}}', '2024-02-29 23:59:59.999999+05:30', '0044-03-15 BC',
      '1 year -2 days 03:04:05.678', E'two\\nlines\\t"quoted" (and) \\\\ ', true, 'short', 'cross',
      row('a "b", c', null), '[1,9)', 12.34, 'odd', 'ab', b'1010'),
    (2, '', 1e-30, 'NaN', '-Infinity', '', 'null', null, '{}', null, 'infinity', 'infinity', null, '', false, null,
      null, row(null, null), 'empty', -1, null, '', null),
    (3, E'line\\nbreak', null, '-0', 1e-45, null, null, '{"n": 1.10, "deep": [null, {"x": "\\u00e9"}]}', null, null,
      '-infinity', null, '-1 mon', null, null, null, null, null, null, null, null, null, null);
  insert into plain select n, 'row ' || n from generate_series(1, 20) n;
  insert into parent values (1), (2);
  insert into child values (1, 1);
`;

let target: TestTarget;
beforeAll(async () => {
  target = await openTestTarget(tables);
});
afterAll(() => target.stop());
beforeEach(async () => {
  await target.admin.query(`truncate odd, plain, parent, child; ${rows}`);
});

const plainInput = {
  database: 'shop',
  table: 'plain',
  where: { column: 'id', op: 'le', value: 5 },
  limit: 100,
} as const;

async function countOf(table: string): Promise<number> {
  const found = await target.admin.query<{ count: number }>(`select count(*)::int from ${table}`);
  return found.rows[0]?.count ?? -1;
}

async function contentOf(table: string): Promise<string[]> {
  const found = await target.admin.query<{ content: string }>(
    `select (t.*)::text as content from ${table} t order by 1`,
  );
  return found.rows.map((row) => row.content);
}

const perform = (credential: Parameters<typeof effect.perform>[0]) =>
  effect.perform(credential, target.executorUrl);

describe('the effect', () => {
  test('exactly the planned rows are deleted', async () => {
    const plan = await target.plan(plainInput);
    await target.admin.query(`insert into plain values (0, 'came after the plan')`);
    await expect(perform(target.borrow(plan))).resolves.toEqual({ counts: { rows: 5 }, repeated: false });
    expect(await countOf('plain')).toBe(16);
  });

  test('undo puts rows of odd types back exactly, once', async () => {
    const before = await contentOf('odd');
    const plan = await target.plan({
      ...plainInput,
      table: 'odd',
      where: { column: 'id', op: 'is-not-null' },
    });
    await perform(target.borrow(plan, { effectKey: 'undone' }));
    expect(await countOf('odd')).toBe(0);
    await target.admin.query(`select firebreak.restore_rows('undone')`);
    expect(await contentOf('odd')).toEqual(before);
    await expect(target.admin.query(`select firebreak.restore_rows('undone')`)).rejects.toMatchObject({
      code: 'ZF011',
    });
    const again = await target.plan({
      ...plainInput,
      table: 'odd',
      where: { column: 'id', op: 'is-not-null' },
    });
    expect(again.effects).toEqual(plan.effects);
  });

  test('the same statement again is repeated and changes nothing', async () => {
    const credential = target.borrow(await target.plan(plainInput));
    await perform(credential);
    await expect(perform(credential)).resolves.toEqual({ counts: { rows: 5 }, repeated: true });
    expect(await countOf('plain')).toBe(15);
  });

  test('of concurrent calls with one statement exactly one does it', async () => {
    const credential = target.borrow(await target.plan(plainInput));
    const answers = await Promise.all([1, 2, 3, 4].map(() => perform(credential)));
    expect(answers.filter((answer) => !answer.repeated)).toHaveLength(1);
    expect(await countOf('plain')).toBe(15);
  });

  test('another statement under a used effect key is refused', async () => {
    await perform(target.borrow(await target.plan(plainInput), { effectKey: 'used' }));
    const other = await target.plan({ ...plainInput, where: { column: 'id', op: 'eq', value: 9 } });
    await expect(perform(target.borrow(other, { effectKey: 'used' }))).rejects.toMatchObject({
      code: 'EFFECT_EXISTS',
    });
    expect(await countOf('plain')).toBe(15);
  });

  test('a plan with no rows deletes none', async () => {
    const plan = await target.plan({ ...plainInput, where: { column: 'id', op: 'eq', value: 999 } });
    expect(plan.counts).toEqual({ rows: 0 });
    await expect(perform(target.borrow(plan))).resolves.toEqual({ counts: { rows: 0 }, repeated: false });
  });
});

describe('rows that changed', () => {
  test.each([
    ['an updated row', `update plain set t = 'other' where id = 3`, 20],
    ['a row that is gone', `delete from plain where id = 3`, 19],
    ['a new column', `alter table plain add column more text`, 20],
  ])('%s is refused and nothing is deleted', async (_, change, left) => {
    const plan = await target.plan(plainInput);
    await target.admin.query(change);
    await expect(perform(target.borrow(plan))).rejects.toMatchObject({ code: 'ROWS_CHANGED' });
    await target.admin.query('alter table plain drop column if exists more');
    expect(await countOf('plain')).toBe(left);
  });

  test('a row planned twice is refused', async () => {
    const plan = await target.plan({ ...plainInput, where: { column: 'id', op: 'eq', value: 1 } });
    const effects = JSON.parse(JSON.stringify(plan.effects));
    effects.rows.push(effects.rows[0]);
    await expect(perform(target.borrow({ effects }))).rejects.toMatchObject({ code: 'ROWS_CHANGED' });
    expect(await countOf('plain')).toBe(20);
  });

  test('a change that commits while the call waits for it is seen', async () => {
    const credential = target.borrow(await target.plan(plainInput));
    await target.admin.query(`begin; update plain set t = 'late' where id = 3`);
    const answer = perform(credential).catch((error: unknown) => error);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await target.admin.query('commit');
    expect(await answer).toMatchObject({ code: 'ROWS_CHANGED' });
    expect(await countOf('plain')).toBe(20);
  });

  test.each([
    [
      'a trigger',
      `create function f() returns trigger language plpgsql as 'begin return old; end';
       create trigger late before delete on plain for each row execute function f()`,
      'drop trigger late on plain; drop function f',
    ],
    [
      'a trigger of a whole statement where rows would be deleted along',
      `create table c (id int primary key references plain on delete cascade);
       create function f() returns trigger language plpgsql as 'begin return null; end';
       create trigger late before delete on c for each statement execute function f()`,
      'drop table c; drop function f',
    ],
    [
      'a rule where rows would be deleted along',
      `create table c (id int primary key references plain on delete cascade);
       create rule late as on delete to c do instead nothing`,
      'drop table c',
    ],
    [
      'a foreign key that is switched off in part',
      `create table c (id int primary key references plain on delete cascade); alter table c disable trigger all`,
      'drop table c',
    ],
    ['a rule', 'create rule late as on delete to plain do instead nothing', 'drop rule late on plain'],
    [
      'row-level security',
      'alter table plain enable row level security',
      'alter table plain disable row level security',
    ],
  ])('%s that appeared after the plan is refused', async (_, change, back) => {
    const plan = await target.plan(plainInput);
    await target.admin.query(change);
    await expect(perform(target.borrow(plan))).rejects.toMatchObject({
      code: 'TARGET_REFUSED',
      details: { outcome: 'none', sqlState: 'ZF007' },
    });
    await target.admin.query(back);
    expect(await countOf('plain')).toBe(20);
  });

  test('a row that others still refer to is refused inside the call, though the key is deferred', async () => {
    await target.admin.query('delete from child');
    const credential = target.borrow(await target.plan({ ...plainInput, table: 'parent' }));
    await target.admin.query('insert into child values (1, 1)');
    const { statement, gateMac, credentialsMac } = credential;
    await expect(perform(credential)).rejects.toMatchObject({
      code: 'TARGET_REFUSED',
      details: { sqlState: '23503' },
    });
    await withClient(target.executorUrl, async (client) => {
      await client.query('begin');
      const call = client.query('select firebreak.perform($1, $2, $3)', [statement, gateMac, credentialsMac]);
      await expect(call).rejects.toMatchObject({ code: '23503' });
    });
    expect(await countOf('parent')).toBe(2);
  });
});

describe('undo', () => {
  const deleted = async (effectKey: string): Promise<string[]> => {
    const before = await contentOf('plain');
    await perform(target.borrow(await target.plan(plainInput), { effectKey }));
    return before;
  };
  const restore = (effectKey: string) => target.admin.query('select firebreak.restore_rows($1)', [effectKey]);

  test.each([
    [
      'a trigger would change the row',
      `create function g() returns trigger language plpgsql as $$begin new.t := 'other'; return new; end$$;
       create trigger g before insert on plain for each row execute function g()`,
      'drop trigger g on plain; drop function g',
      'ZF006',
    ],
    [
      'a column is new',
      'alter table plain add column more text',
      'alter table plain drop column more',
      'ZF007',
    ],
    ['a key is taken', `insert into plain values (3, 'new')`, 'delete from plain where id = 3', '23505'],
  ])('is refused, and can be done later, when %s', async (name, change, back, code) => {
    const before = await deleted(name);
    await target.admin.query(change);
    await expect(restore(name)).rejects.toMatchObject({ code });
    await target.admin.query(back);
    expect(await countOf('plain')).toBe(15);
    await restore(name);
    expect(await contentOf('plain')).toEqual(before);
  });

  test('of an effect that never was is refused', async () => {
    await expect(restore('never')).rejects.toMatchObject({ code: 'ZF009' });
  });
});

test('a target that is not there is unreachable, and nothing was done', async () => {
  const plan = await target.plan(plainInput);
  const url = target.urlOf({ name: 'shop_executor', password: 'a wrong password' });
  await expect(effect.perform(target.borrow(plan), url)).rejects.toMatchObject({
    code: 'TARGET_UNREACHABLE',
    details: { outcome: 'none' },
  });
});
