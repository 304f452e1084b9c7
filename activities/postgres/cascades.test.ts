import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type PlanBody, planBodySchema } from '../../src/action/define.ts';
import { definition as restoration } from '../actions/postgres.rows.restore/definition.ts';
import { CASCADE_STEPS_MAX, CASCADE_TABLES_MAX } from './limits.ts';
import { performOnTarget } from './perform.ts';
import { openTestTarget, type TestTarget } from './test-target.ts';

/** Foreign keys that delete rows along, on real PostgreSQL: what is planned is what goes, and all of it comes back. */
const tables = `
  create table people (id int primary key, code text unique, name text);
  create table homes (id int primary key, person int references people on delete cascade, town text);
  create table keys (home int references homes on delete cascade, number int, primary key (home, number));
  create table badges (id int primary key, code text references people (code) on delete cascade);
  create table visits (id int primary key, home int references homes, person int references people on delete cascade);
  create table notes (id int primary key, person int references people on delete set null);
  create table tags (id int primary key default 0, person int default 9 references people on delete set default);
  create table bills (id int primary key, person int references people);
  create table loose (person int references people on delete cascade);
  create table parts (id int primary key, whole int references parts on delete cascade);
  create table heads (id int primary key, deputy int);
  create table teams (id int primary key, head int references heads on delete cascade);
  alter table heads add foreign key (deputy) references teams on delete cascade;
`;
const rows = `
  insert into people select n, 'c' || n, 'person ' || n from generate_series(1, 9) n;
  insert into homes select n, 1 + n % 3, 'town' from generate_series(1, 6) n;
  insert into keys select h, n from generate_series(1, 6) h, generate_series(1, 2) n;
  insert into badges values (1, 'c1'), (2, 'c2');
  insert into visits values (1, 3, 1), (2, 1, 2);
  insert into parts values (1, null), (2, 1), (3, 2), (4, 1), (5, null);
  insert into heads values (1, null), (2, null); insert into teams values (1, 1), (2, 2);
  update heads set deputy = 3 - id;
`;
const names = 'people, homes, keys, badges, visits, notes, tags, bills, loose, parts, heads, teams';

let target: TestTarget;
beforeAll(async () => {
  target = await openTestTarget(tables);
});
afterAll(() => target.stop());
beforeEach(async () => {
  await target.admin.query(`truncate ${names}; ${rows}`);
});

const inputOf = (table: string, id: number | readonly number[], limit = 100) => ({
  database: 'shop',
  table,
  where: { column: 'id', op: 'in', value: [id].flat() },
  limit,
});
const perform = async (plan: PlanBody, effectKey?: string) =>
  await performOnTarget(
    target.borrow(plan, effectKey === undefined ? {} : { effectKey }),
    target.executorUrl,
  );

async function contents(of = names): Promise<string[]> {
  const texts: string[] = [];
  for (const name of of.split(', ')) {
    const found = await target.admin.query<{ text: string }>(
      `select ${target.admin.escapeLiteral(name)} || ' ' || (t.*)::text as text from ${name} t order by 1`,
    );
    texts.push(...found.rows.map(({ text }) => text));
  }
  return texts;
}

/** What a plain DELETE takes away, seen and rolled back. */
async function takenBy(statement: string, of = names): Promise<string[]> {
  const before = await contents(of);
  await target.admin.query(`begin; ${statement}`);
  const after = new Set(await contents(of));
  await target.admin.query('rollback');
  return before.filter((text) => !after.has(text));
}

describe('a plan', () => {
  test('names every row that goes along, table by table, on the card and for policy', async () => {
    const plan = planBodySchema.parse(await target.plan(inputOf('people', 1)));
    expect(plan.counts).toEqual({ rows: 1, cascadedRows: 8 });
    expect(plan.overshoot).toEqual([]);
    expect(plan.effects).toMatchObject({
      table: 'people',
      rows: [{ key: { id: '1' } }],
      cascades: [
        { table: 'badges', rows: [{ key: { id: '1' } }] },
        { table: 'homes', rows: [{ key: { id: '3' } }, { key: { id: '6' } }] },
        { table: 'visits', rows: [{ key: { id: '1' } }] },
        { table: 'keys', rows: Array.from({ length: 4 }, () => ({ hash: expect.any(String) })) },
      ],
      triggers: [],
    });
    expect(plan.summary.filter(({ label }) => label === 'Also deletes').map(({ value }) => value)).toEqual([
      '1 row of public.badges, by foreign key "badges_code_fkey": id="1"',
      '2 rows of public.homes, by foreign key "homes_person_fkey": id="3"; id="6"',
      '1 row of public.visits, by foreign key "visits_person_fkey": id="1"',
      expect.stringMatching(/^4 rows of public.keys, by foreign key "keys_home_fkey": /),
    ]);
  });

  test('is the same for equal state, and another one when a row that goes along differs', async () => {
    const first = await target.plan(inputOf('people', 1));
    expect(await target.plan(inputOf('people', 1))).toEqual(first);
    await target.admin.query(`update homes set town = 'other' where id = 6`);
    expect(await target.plan(inputOf('people', 1))).not.toEqual(first);
  });

  test('counts rows that refer to rows of their own table, within the limit', async () => {
    const plan = await target.plan(inputOf('parts', 1));
    expect(plan.counts).toEqual({ rows: 4 });
    expect(plan.summary).toContainEqual({
      label: 'Among them',
      value: '3 rows by foreign key "parts_whole_fkey": id="2"; id="4"; id="3"',
    });
    await expect(target.plan(inputOf('parts', 1, 4))).resolves.toMatchObject({ counts: { rows: 4 } });
    await expect(target.plan(inputOf('parts', 1, 3))).rejects.toMatchObject({ code: 'PLAN_TOO_LARGE' });
  });

  test.each([
    ['notes', 'insert into notes values (1, 1)', 'on delete set null'],
    ['tags', 'insert into tags values (1, 1)', 'on delete set default'],
    ['bills', 'insert into bills values (1, 1)', 'still refer'],
    ['loose', 'insert into loose values (1)', 'primary key'],
  ])('is refused where rows of %s refer to what goes, and made where none do', async (_, insert, reason) => {
    await expect(target.plan(inputOf('people', 1))).resolves.toMatchObject({ counts: { rows: 1 } });
    await target.admin.query(insert);
    await expect(target.plan(inputOf('people', 1))).rejects.toMatchObject({
      code: 'PLAN_UNSUPPORTED',
      message: expect.stringContaining(reason),
    });
    await expect(target.plan(inputOf('people', 2))).resolves.toMatchObject({ counts: { rows: 1 } });
  });

  test('is made where what refers without deleting along goes too', async () => {
    await target.admin.query('insert into visits values (3, 3, 1)');
    await expect(target.plan(inputOf('people', 1))).resolves.toMatchObject({ counts: { cascadedRows: 9 } });
    await target.admin.query('insert into visits values (4, 3, 2)');
    await expect(target.plan(inputOf('people', 1))).rejects.toMatchObject({ code: 'PLAN_UNSUPPORTED' });
  });

  test('of rows, steps or tables over the limit is refused and never cut', async () => {
    const chain = (length: number) =>
      target.admin.query(`truncate parts; insert into parts
        select n, nullif(n - 1, 0) from generate_series(1, ${length}) n`);
    await chain(CASCADE_STEPS_MAX + 1);
    await expect(target.plan(inputOf('parts', 1))).resolves.toMatchObject({ counts: { rows: 33 } });
    await chain(CASCADE_STEPS_MAX + 2);
    await expect(target.plan(inputOf('parts', 1))).rejects.toMatchObject({ code: 'PLAN_TOO_LARGE' });
    const many = (count: number) =>
      target.admin.query(`truncate people cascade; insert into people values (1, 'c', 'a');
        insert into homes select n, 1, 'town' from generate_series(1, ${count}) n`);
    await many(9_999);
    await expect(target.plan(inputOf('people', 1))).resolves.toMatchObject({
      counts: { cascadedRows: 9_999 },
    });
    await many(10_000);
    await expect(target.plan(inputOf('people', 1))).rejects.toMatchObject({ code: 'PLAN_TOO_LARGE' });
  });

  test('of more tables than a statement may have is refused', async () => {
    const fan = Array.from({ length: CASCADE_TABLES_MAX + 1 }, (_, n) => `fan${n}`);
    const [last = '', ...others] = fan;
    await target.admin.query(`create table hub (id int primary key); insert into hub values (1); grant select on hub to shop_planner;
      ${fan.map((name) => `create table ${name} (id int primary key references hub on delete cascade); grant select on ${name} to shop_planner;`).join('')}
      ${others.map((name) => `insert into ${name} values (1);`).join('')}`);
    await expect(target.plan(inputOf('hub', 1))).resolves.toMatchObject({ counts: { cascadedRows: 10 } });
    await target.admin.query(`insert into ${last} values (1)`);
    await expect(target.plan(inputOf('hub', 1))).rejects.toMatchObject({ code: 'PLAN_TOO_LARGE' });
    await target.admin.query(`drop table hub, ${fan.join(', ')}`);
  });
});

describe('a deletion', () => {
  test.each([
    ['people', 1],
    ['parts', 1],
    ['heads', 1],
  ])('from %s takes what PostgreSQL would, and undo brings all of it back', async (table, id) => {
    const before = await contents();
    const taken = await takenBy(`delete from ${table} where id = ${id}`);
    const plan = await target.plan(inputOf(table, id));
    const effectKey = `req_${table.padEnd(22, '0')}`;
    expect(await perform(plan, effectKey)).toEqual({ counts: plan.counts, repeated: false });
    const after = await contents();
    expect(before.filter((text) => !after.includes(text))).toEqual(taken);

    const back = await target.plan({ database: 'shop', requestId: effectKey }, restoration);
    expect(back.counts).toEqual(plan.counts);
    expect(await perform(back)).toEqual({ counts: plan.counts, repeated: false });
    expect(await contents()).toEqual(before);
  });

  test.each([
    ['a child that came after the plan', `insert into homes values (7, 1, 'town')`],
    ['a grandchild that came after the plan', 'insert into keys values (3, 3)'],
    ['a child that changed after the plan', `update homes set town = 'other' where id = 3`],
    ['a child that went after the plan', 'delete from homes where id = 6'],
    ['a child that refers to somebody else by now', 'update homes set person = 2 where id = 3'],
    ['a row that would be set to null', 'insert into notes values (1, 1)'],
    ['a row that would be set to its default', 'insert into tags values (1, 1)'],
    ['a child that has no key', 'insert into loose values (1)'],
    [
      'a child of a table that came after the plan',
      `create table late (id int primary key references people on delete cascade);
       grant select on late to firebreak_target_hands; insert into late values (1)`,
    ],
  ])('with %s is refused and takes nothing', async (_, change) => {
    const plan = await target.plan(inputOf('people', 1));
    await target.admin.query(change);
    const before = await contents();
    await expect(perform(plan)).rejects.toMatchObject({ code: 'ROWS_CHANGED' });
    expect(await contents()).toEqual(before);
    await target.admin.query('drop table if exists late');
  });

  test('with a child whose transaction is open waits for it, and is refused when it commits', async () => {
    const plan = await target.plan(inputOf('people', 1));
    await target.admin.query(`begin; insert into homes values (7, 1, 'town')`);
    const answer = perform(plan).catch((error: unknown) => error);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await target.admin.query('commit');
    expect(await answer).toMatchObject({ code: 'ROWS_CHANGED' });
  });

  test('with a child whose transaction is rolled back takes what was planned', async () => {
    const plan = await target.plan(inputOf('people', 1));
    await target.admin.query(`begin; insert into homes values (7, 1, 'town')`);
    const answer = perform(plan);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await target.admin.query('rollback');
    expect(await answer).toEqual({ counts: plan.counts, repeated: false });
  });

  test('of fewer rows than go along is refused, whatever the statement says', async () => {
    const { effects } = await target.plan(inputOf('people', 1));
    const told = JSON.parse(JSON.stringify(effects));
    for (const at of told.cascades.keys()) {
      const cascades = told.cascades.toSpliced(at, 1);
      const refused = { code: 'ROWS_CHANGED', details: { outcome: 'none', sqlState: 'ZF006' } };
      const credential = target.borrow({ effects: { ...told, cascades } });
      await expect(performOnTarget(credential, target.executorUrl)).rejects.toMatchObject(refused);
    }
  });
});

describe('an undo', () => {
  const effectKey = 'req_0000000000000000000000';
  const undo = async () => await target.plan({ database: 'shop', requestId: effectKey }, restoration);

  beforeEach(async () => {
    await target.admin.query('truncate firebreak.effects cascade');
    await perform(await target.plan(inputOf('people', 1)), effectKey);
  });

  test('shows the rows of every table', async () => {
    const { summary } = await undo();
    expect(summary.filter(({ label }) => label === 'Also puts back')).toHaveLength(4);
  });

  test.each([
    [
      'a key of a child is taken',
      `insert into homes values (3, 2, 'town')`,
      'delete from homes where id = 3',
    ],
    ['a key of the parent is taken', `insert into people values (1)`, 'delete from people where id = 1'],
  ])('that finds that %s puts nothing back, and can be done later', async (_, change, back) => {
    const plan = await undo();
    await target.admin.query(change);
    const before = await contents();
    await expect(perform(plan)).rejects.toMatchObject({ code: 'TARGET_REFUSED' });
    expect(await contents()).toEqual(before);
    await target.admin.query(back);
    await expect(perform(await undo())).resolves.toMatchObject({ repeated: false });
  });

  test('of other tables than the kept ones is refused', async () => {
    const { effects } = await undo();
    const told = JSON.parse(JSON.stringify(effects));
    const fewer = target.borrow({ effects: { ...told, cascades: told.cascades.slice(1) } });
    await expect(performOnTarget(fewer, target.executorUrl)).rejects.toMatchObject({ code: 'ROWS_CHANGED' });
  });

  test('whose columns changed in one of the tables is refused', async () => {
    await target.admin.query('alter table keys add column more text');
    await expect(undo()).rejects.toMatchObject({ code: 'PLAN_UNSUPPORTED' });
    await target.admin.query('alter table keys drop column more');
  });
});
