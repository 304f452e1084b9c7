import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { type PostgresServer, SUPERUSER, startPostgres } from '../../src/dev/postgres-server.ts';

/** A PostgreSQL of the user's own: the demo runs on it, and leaves nothing of Firebreak behind. */
const PASSWORD = 'the-administrator-of-a-test';
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
let directory: string;
let server: PostgresServer;
let admin: Client;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'firebreak-own-'));
  server = await startPostgres({ directory, name: 'own', superuserPassword: PASSWORD, log: () => undefined });
  await withClient('postgres', async (client) => await client.query('create database crm'));
  admin = new Client({ connectionString: url('crm') });
  await admin.connect();
  await admin.query(`create table leads (id int primary key, note text);
    insert into leads select n, 'lead ' || n from generate_series(1, 50) as n`);
});
afterAll(async () => {
  await admin.end();
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

const url = (database: string) => server.url(SUPERUSER, PASSWORD, database);

async function withClient(database: string, work: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client({ connectionString: url(database) });
  await client.connect();
  await work(client);
  await client.end();
}

async function run(...command: string[]) {
  return await promisify(execFile)(process.execPath, command, { cwd: ROOT, timeout: 80_000 });
}

async function leftovers(): Promise<number> {
  const { rows } = await admin.query<{ count: string }>(
    `select (select count(*) from pg_namespace where nspname like 'firebreak%')
       + (select count(*) from pg_roles where rolname like 'firebreak%') as count`,
  );
  return Number(rows[0]?.count);
}

const reportSchema = z.looseObject({
  outcome: z.string(),
  target: z.object({ before: z.int(), after: z.int() }),
});

test('the main job runs on a database of the user’s own, which then holds nothing of ours', async () => {
  const file = join(directory, 'request.json');
  const where = { column: 'id', op: 'le', value: 7 };
  const input = { database: 'shop', table: 'public.leads', where, limit: 20 };
  await writeFile(file, JSON.stringify({ action: 'postgres.rows.delete', input }));
  const { stdout } = await run(
    'src/main/demo.ts',
    '--yes',
    '--json',
    '--target',
    url('crm'),
    '--request',
    file,
  );
  const report = reportSchema.parse(JSON.parse(stdout.trim().split('\n').at(-1) ?? ''));
  expect(report).toMatchObject({ outcome: 'done', target: { before: 50, after: 43 } });
  expect(await leftovers()).toBe(0);
});

test('installing asks first, works twice, and uninstalling takes all of it away', async () => {
  const data = join(directory, 'data');
  const options = ['--url', url('crm'), '--name', 'crm', '--data', data];
  const command = async (...more: string[]) => await run('src/cli/firebreak.ts', 'target', ...more);
  await expect(command('install', ...options)).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining('NOT_PERMITTED'),
  });
  expect(await leftovers()).toBe(0);
  for (const _ of [1, 2]) await command('install', ...options, '--tables', 'public.leads', '--yes');
  expect(await leftovers()).toBeGreaterThan(0);
  const { stdout, stderr } = await command('uninstall', ...options, '--yes', '--json');
  expect(JSON.parse(stdout)).toEqual({ target: 'crm' });
  expect(`${stdout}${stderr}`).not.toContain(PASSWORD);
  expect(await leftovers()).toBe(0);
});
