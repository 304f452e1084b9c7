import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { effect } from '../actions/postgres.rows.delete/effect.ts';
import { openReader } from './reader.ts';
import { openTestTarget, type TestTarget } from './test-target.ts';

let target: TestTarget;
beforeAll(async () => {
  target = await openTestTarget(`create table kept (id int primary key);
    insert into kept select generate_series(1, 9)`);
});
afterAll(() => target.stop());

const inputOf = (id: number) => ({
  database: 'shop',
  table: 'kept',
  where: { column: 'id', op: 'eq', value: id },
  limit: 1,
});

async function performDeletion(id: number) {
  const plan = await target.plan(inputOf(id));
  const credential = target.borrow(plan, { effectKey: `effect ${id}` });
  return await effect.perform(credential, target.executorUrl);
}

const SESSION = `select pg_backend_pid() as pid, current_setting('work_mem') as memory`;

/** The same connection again, once it has been cleaned; others are held meanwhile. */
async function lookAgain(pid: unknown) {
  const readers = [];
  try {
    for (;;) {
      await delay(50);
      const reader = await openReader(target.plannerUrl, 'shop');
      readers.push(reader);
      const [seen] = await reader.query(SESSION);
      if (seen?.['pid'] === pid) return seen;
    }
  } finally {
    await Promise.all(readers.map(async (reader) => await reader.close()));
  }
}

test('what a plan leaves in its session is gone before the next look', async () => {
  const reader = await openReader(target.plannerUrl, 'shop');
  const [before] = await reader.query(SESSION);
  await reader.query(`commit; set work_mem = '77kB'`);
  expect(await reader.query(SESSION)).toMatchObject([{ memory: '77kB' }]);
  await reader.close();
  expect(await lookAgain(before?.['pid'])).toEqual(before);
});

test('a connection on which a plan has prepared a statement is not used again', async () => {
  const reader = await openReader(target.plannerUrl, 'shop');
  const [{ pid } = {}] = await reader.query(SESSION);
  await reader.query('prepare "firebreak facts of a table" as select 1');
  await reader.close();
  const pids = async () => {
    const text = `select pid from pg_stat_activity where usename = 'shop_planner'`;
    return (await target.admin.query<{ pid: number }>(text)).rows.map((row) => row.pid);
  };
  await expect.poll(pids).not.toContain(pid);
});

test('a look that is over holds no transaction open', async () => {
  const reader = await openReader(target.plannerUrl, 'shop');
  const states = async () => {
    const text = `select distinct state from pg_stat_activity where usename = 'shop_planner'`;
    return (await target.admin.query(text)).rows;
  };
  expect(await states()).toContainEqual({ state: 'idle in transaction' });
  await reader.close();
  await expect.poll(states).toEqual([{ state: 'idle' }]);
});

test('connections that the target has ended are replaced, and nothing is unknown', async () => {
  await expect(performDeletion(1)).resolves.toMatchObject({ counts: { rows: 1 } });
  await target.admin.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where usename in ('shop_planner', 'shop_executor')`,
  );
  await expect(performDeletion(2)).resolves.toMatchObject({ counts: { rows: 1 } });
});

test('one effect after the other goes through one connection', async () => {
  const count = async () =>
    (await target.admin.query(`select pid from pg_stat_activity where usename = 'shop_executor'`)).rows;
  await performDeletion(3);
  const before = await count();
  await performDeletion(4);
  expect(await count()).toEqual(before);
  expect(before).toHaveLength(1);
});
