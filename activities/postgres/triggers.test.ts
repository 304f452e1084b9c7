import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type PlanBody, planBodySchema } from '../../src/action/define.ts';
import { definition as restoration } from '../actions/postgres.rows.restore/definition.ts';
import { performOnTarget } from './perform.ts';
import { openTestTarget, type TestTarget } from './test-target.ts';

/** Triggers of the application, careless and hostile ones, while Firebreak deletes and puts back. */
const tables = `
  create table orders (id int primary key, total int, note text);
  create table items (id int primary key, orders int references orders on delete cascade, price int);
  create table gone (id int generated always as identity primary key, was int);
  create schema evil;
  grant usage on schema evil to public;
`;
const rows = `
  insert into orders select n, n * 10, 'order ' || n from generate_series(1, 4) n;
  insert into items select n, 1 + n % 2, 5 from generate_series(1, 6) n;
`;

let target: TestTarget;
beforeAll(async () => {
  target = await openTestTarget(tables);
});
afterAll(() => target.stop());
beforeEach(async () => {
  await target.admin.query(`drop function if exists f cascade;
    truncate orders, items, gone, firebreak.effects cascade; ${rows}`);
});

const effectKey = 'req_0000000000000000000000';
const planOf = async (table: string, id: number): Promise<PlanBody> =>
  planBodySchema.parse(
    await target.plan({ database: 'shop', table, where: { column: 'id', op: 'eq', value: id }, limit: 10 }),
  );
const undo = async () => await target.plan({ database: 'shop', requestId: effectKey }, restoration);
const perform = async (plan: PlanBody, key = effectKey) =>
  await performOnTarget(target.borrow(plan, { effectKey: key }), target.executorUrl);

/** A trigger `t` whose function does this, e.g. `before delete on orders for each row`. */
async function trigger(when: string, body: string, how = ''): Promise<void> {
  await target.admin.query(`create or replace function f() returns trigger language plpgsql ${how} as $f$
    begin ${body} end $f$; create trigger t ${when} execute function f()`);
}

async function contents(): Promise<string[]> {
  const found = await target.admin.query<{ text: string }>(
    `select 'orders ' || o::text as text from orders o union all select 'items ' || i::text from items i
     union all select 'gone ' || g.was from gone g order by 1`,
  );
  return found.rows.map(({ text }) => text);
}

/** What one attempt is refused with, and whether everything is as it was. */
async function attempt(plan: PlanBody, key = effectKey) {
  const before = await contents();
  const refusal: unknown = await perform(plan, key).catch((error: unknown) => error);
  const after = await contents();
  return { refusal, isUnchanged: after.join() === before.join() };
}

const refused = (refusal: object) => ({ refusal, isUnchanged: true });
const refusedBy = (sqlState: string) =>
  refused({ code: 'TARGET_REFUSED', details: { outcome: 'none', sqlState } });
const LOG = 'insert into public.gone (was) values (old.id); return old;';

describe('a plan', () => {
  test.each([
    ['before delete on orders for each row', 'orders', 'fires for 1 row:'],
    ['after delete on items for each row', 'items', 'fires for each of 3 rows:'],
    [
      'after delete on items for each row when (old.price > 5)',
      'items',
      'fires for each of 3 rows where its condition holds:',
    ],
    ['after delete on items for each statement', 'items', 'fires at least once:'],
  ])('says of a trigger %s what it may do besides', async (when, table, said) => {
    expect((await planOf('orders', 2)).overshoot).toEqual([]);
    await trigger(when, LOG);
    const { overshoot, effects } = await planOf('orders', 2);
    expect(overshoot).toEqual([
      expect.stringMatching(new RegExp(`^do what trigger "t" of public.${table} does, which ${said}`)),
    ]);
    expect(effects).toMatchObject({ triggers: [`public.${table} t`] });
  });

  test('counts a trigger of a whole statement also where no row goes along, and one of rows not', async () => {
    await target.admin.query('delete from items');
    await trigger('after delete on items for each row', LOG);
    expect((await planOf('orders', 2)).overshoot).toEqual([]);
    await target.admin.query('drop trigger t on items');
    await trigger('after delete on items for each statement', LOG);
    expect((await planOf('orders', 2)).overshoot).toHaveLength(1);
  });

  test('says nothing of triggers on insert, which an undo would fire', async () => {
    await trigger('before insert on orders for each row', 'return new;');
    const { overshoot, summary } = await planOf('orders', 2);
    expect(overshoot).toEqual([]);
    expect(summary.at(-1)?.value).toContain('putting them back would fire "t" of public.orders');
  });
});

describe('a deletion', () => {
  test('does what was planned, and the trigger what it does', async () => {
    await trigger('before delete on items for each row', LOG);
    const plan = await planOf('orders', 2);
    expect(await perform(plan)).toEqual({ counts: { rows: 1, cascadedRows: 3 }, repeated: false });
    expect((await contents()).filter((text) => text.startsWith('gone'))).toHaveLength(3);
  });

  test('goes on where a trigger of a child changes the parent, as in a plain delete', async () => {
    await trigger(
      'before delete on items for each row',
      'update public.orders o set total = o.total - old.price where o.id = old.orders; return old;',
      'security definer',
    );
    expect(await perform(await planOf('orders', 2))).toMatchObject({ repeated: false });
    expect(await perform(await undo(), 'undone')).toMatchObject({ repeated: false });
    expect(await contents()).toContain('orders (2,20,"order 2")');
  });

  test('by which other triggers fire than the planned ones is refused', async () => {
    const without = await planOf('orders', 2);
    await trigger('before delete on items for each row', LOG);
    expect(await attempt(without)).toMatchObject(refusedBy('ZF007'));
    const plan = await planOf('orders', 2);
    await target.admin.query('alter table items disable trigger t');
    expect(await attempt(plan)).toMatchObject(refusedBy('ZF007'));
    await target.admin.query('alter table items enable trigger t');
    await expect(perform(plan)).resolves.toMatchObject({ repeated: false });
  });

  test.each([
    ['keeps the row', 'before delete on orders for each row', 'return null;'],
    ['keeps a row that goes along', 'before delete on items for each row', 'return null;'],
    [
      'puts the row back',
      'after delete on orders for each row',
      'insert into public.orders values (old.id, old.total, old.note); return null;',
    ],
  ])('whose trigger %s is refused and takes nothing', async (_, when, body) => {
    await trigger(when, body);
    expect(await attempt(await planOf('orders', 2))).toMatchObject(
      refused({ code: 'ROWS_CHANGED', details: { outcome: 'none' } }),
    );
  });

  test.each([
    ['fails', `raise exception using errcode = 'P0001', message = 'no'; return old;`, 'P0001'],
    ['looks for a name on a path of its own', 'insert into gone (was) values (old.id); return old;', '42P01'],
    ['changes a row, by what it runs as', 'update public.items set price = 0; return old;', '42501'],
    // What a trigger runs as holds no key, sees no record, and can make or change no function.
    ['reads the keys', 'perform from firebreak.keys; return old;', '42501'],
    ['reads the record', 'perform from firebreak.effects; return old;', '42501'],
    ['takes more rows', `perform firebreak_hands.take('[]', '[]'); return old;`, '42501'],
    [
      'hands out its own rights',
      'grant execute on function firebreak_hands.take(jsonb, jsonb) to shop_executor; return old;',
      '42501',
    ],
    [
      'replaces what checks it',
      `create or replace function firebreak.refuse(text, text) returns void language sql as 'select'; return old;`,
      '42501',
    ],
    ['becomes the owner', 'set local role firebreak_target_owner; return old;', '42501'],
  ])('whose trigger %s is refused and takes nothing', async (_, body, sqlState) => {
    await trigger('before delete on items for each row', body);
    expect(await attempt(await planOf('orders', 2))).toMatchObject(refusedBy(sqlState));
  });

  test('whose trigger changes a planned row, by its own rights, is refused and takes nothing', async () => {
    const body = 'update public.items set price = 0; return old;';
    await trigger('before delete on items for each row', body, 'security definer');
    expect(await attempt(await planOf('orders', 2))).toMatchObject(refusedBy('27000'));
  });

  test('whose trigger chooses by which names the owner goes on is refused', async () => {
    await target.admin.query(`create or replace function evil.jsonb_build_object(text, jsonb) returns jsonb
      language sql as $$select pg_catalog.jsonb_build_object('stolen', (select gate_key from firebreak.keys)::text)$$`);
    const set = (isLocal: boolean) =>
      trigger(
        'after delete on orders for each statement',
        `perform set_config('search_path', 'evil, pg_catalog', ${isLocal}); return null;`,
      );
    await set(false);
    expect(await attempt(await planOf('orders', 2))).toMatchObject(refusedBy('ZF007'));
    await target.admin.query('drop trigger t on orders');
    await set(true);
    const answer = await perform(await planOf('orders', 2));
    expect(answer).toEqual({ counts: { rows: 1, cascadedRows: 3 }, repeated: false });
  });
});

describe('an undo', () => {
  beforeEach(async () => {
    await perform(await planOf('orders', 2));
  });

  test('that fires a trigger needs more than one that fires none', async () => {
    expect((await undo()).overshoot).toEqual([]);
    await trigger('after insert on items for each row', 'return null;');
    expect((await undo()).overshoot).toEqual([
      expect.stringContaining('trigger "t" of public.items does, which fires for each of 3 rows'),
    ]);
    await expect(perform(await undo(), 'undone')).resolves.toMatchObject({ repeated: false });
  });

  test('by which another trigger fires than the planned ones is refused', async () => {
    const plan = await undo();
    await trigger('after insert on items for each row', 'return null;');
    expect(await attempt(plan, 'undone')).toMatchObject(refusedBy('ZF007'));
  });

  test.each([
    ['before it is there', 'before insert on items for each row', 'new.price := 0; return new;'],
    [
      'after it is there',
      'after insert on items for each row',
      'update public.items set price = 0 where id = new.id; return null;',
    ],
    ['so that it is not there', 'before insert on items for each row', 'return null;'],
  ])('whose trigger changes a row %s puts nothing back', async (_, when, body) => {
    await trigger(when, body, 'security definer');
    expect(await attempt(await undo(), 'undone')).toMatchObject(refused({ code: 'ROWS_CHANGED' }));
  });
});
