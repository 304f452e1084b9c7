import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { type FirebreakDatabase, startFirebreakDatabase } from '../../test/fixtures/firebreak-database.ts';
import { codeOf } from '../refusal.ts';
import { type Database, type DatabasePool, openDatabase } from './pool.ts';

/** A server that goes away is UNAVAILABLE, wherever it was in the middle of, and never the end of the process. */
let database: FirebreakDatabase;
let pool: DatabasePool;
const errors: Error[] = [];
beforeAll(async () => {
  database = await startFirebreakDatabase();
  pool = openDatabase(database.url('gate'), (error) => errors.push(error));
});
afterAll(async () => {
  await pool.close();
  await database.stop();
});

async function endConnections(): Promise<void> {
  const superuser = openDatabase(database.superuserUrl('postgres'), () => undefined);
  await superuser.run(
    `select pg_terminate_backend(pid) from pg_stat_activity where usename = 'firebreak_gate'`,
  );
  await superuser.close();
}

async function inTransaction(work: (tx: Database) => Promise<void>): Promise<string> {
  return await pool.transaction(work).then(() => 'committed', codeOf);
}

test('a transaction commits', async () => {
  await expect(inTransaction(async (tx) => await tx.run('select'))).resolves.toBe('committed');
});

test('a connection that is ended between two statements of a transaction is UNAVAILABLE', async () => {
  const broken = inTransaction(async (tx) => {
    await endConnections();
    await tx.run('select');
  });
  await expect(broken).resolves.toBe('UNAVAILABLE');
  expect(errors.length).toBeGreaterThan(0);
});

test('a connection that is ended in the middle of a statement is UNAVAILABLE', async () => {
  const running = pool.run('select pg_sleep(30)').catch(codeOf);
  await expect.poll(async () => await sleeping()).toBe(1);
  await endConnections();
  await expect(running).resolves.toBe('UNAVAILABLE');
});

test('a server that is not there is UNAVAILABLE, and used again when it is back', async () => {
  await database.stopServer();
  await expect(pool.run('select').catch(codeOf)).resolves.toBe('UNAVAILABLE');
  await expect(inTransaction(async (tx) => await tx.run('select'))).resolves.toBe('UNAVAILABLE');
  await database.startServer();
  await expect(pool.run('select')).resolves.toBeUndefined();
});

test('what the database itself refuses is not taken for an outage', async () => {
  await expect(pool.run('select 1 / 0').catch(codeOf)).resolves.toBe('INTERNAL');
});

const countSchema = z.object({ count: z.int() });

async function sleeping(): Promise<number> {
  const [row] = await database
    .open('gate')
    .rows(countSchema, `select count(*)::int from pg_stat_activity where query = 'select pg_sleep(30)'`);
  return row?.count ?? 0;
}
