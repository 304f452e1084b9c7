import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SUPERUSER, startPostgres } from '../dev/postgres-server.ts';

let directory: string;
let server: Awaited<ReturnType<typeof startPostgres>>;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'firebreak-'));
  server = await startPostgres({ directory, name: 'own', superuserPassword: 'secret', log: () => undefined });
});
afterAll(async () => {
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

const launcher = fileURLToPath(new URL('../../bin/firebreak.mjs', import.meta.url));

async function migrate(variables: NodeJS.ProcessEnv, ...args: string[]) {
  const env = { PATH: process.env['PATH'], ...variables };
  return await new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, [launcher, 'migrate', ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
    });
  });
}

async function logsIn(password: string): Promise<boolean> {
  const client = new Client({ connectionString: server.url('firebreak_gate', password, 'firebreak') });
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

test('migrations are applied once; a password is set where one is given and left alone elsewhere', async () => {
  const variables = { DATABASE_URL: server.url(SUPERUSER, 'secret', 'postgres') };
  const first = await migrate({ ...variables, FIREBREAK_PASSWORD_GATE: 'one' });
  expect(first).toMatchObject({ code: 0, stderr: '' });
  expect(first.stdout).toContain('applied firebreak/0001');
  expect(await logsIn('one')).toBe(true);
  const second = await migrate(variables, '--json');
  expect(JSON.parse(second.stdout)).toEqual({ applied: [] });
  expect(await logsIn('one')).toBe(true);
  await migrate({ ...variables, FIREBREAK_PASSWORD_GATE: 'two' });
  expect([await logsIn('one'), await logsIn('two')]).toEqual([false, true]);
});

test('the SQL is printed without any database', async () => {
  const printed = await migrate({}, '--print');
  expect(printed.code).toBe(0);
  expect(printed.stdout).toContain('-- database credentials: ');
});

test('without a URL of PostgreSQL it refuses', async () => {
  for (const url of [undefined, 'db', 'https://db/postgres']) {
    const refused = await migrate(url === undefined ? {} : { DATABASE_URL: url });
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(/^CONFIG_INVALID: /);
  }
});
