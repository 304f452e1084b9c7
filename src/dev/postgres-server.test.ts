import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, SUPERUSER, startPostgres } from './postgres-server.ts';
import { identityOf } from './process-identity.ts';

const PASSWORD = 'p@ss/word of a test';

let directory: string;
let server: PostgresServer;
const log = () => undefined;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'firebreak-'));
});

afterEach(async () => await server.stop());

afterAll(async () => await rm(directory, { recursive: true }));

async function start(name = 'main'): Promise<void> {
  server = await startPostgres({ directory, name, superuserPassword: PASSWORD, log });
}

async function query(text: string, password = PASSWORD): Promise<unknown[]> {
  const client = new Client({ connectionString: server.url(SUPERUSER, password, 'postgres') });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.query({ text, rowMode: 'array' })).rows.flat();
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function kill(): Promise<void> {
  process.kill(server.pid, 'SIGKILL');
  await server.exited;
}

test('it listens on a short unix socket alone, asks for passwords and syncs to disk', async () => {
  await start();
  const settings = ['listen_addresses', 'fsync', 'synchronous_commit', 'data_checksums', 'server_encoding'];
  expect(
    await query(`select current_setting(name) from unnest('{${settings.join()}}'::text[]) name`),
  ).toEqual(['', 'on', 'on', 'on', 'UTF8']);
  expect(
    await query("select distinct auth_method from pg_hba_file_rules where auth_method <> 'scram-sha-256'"),
  ).toEqual([]);
  expect(Buffer.byteLength(server.socketDirectory)).toBeLessThan(100);
});

test('a wrong password is refused over the socket', async () => {
  await start();
  expect(await query('select 1')).toEqual([1]);
  await expect(query('select 1', 'another')).rejects.toMatchObject({ code: '28P01' });
  await expect(query('select 1', '')).rejects.toThrow(/password/);
});

test('an acknowledged row is still there after kill -9, at the same address', async () => {
  await start();
  await query('create table kept (id int primary key)');
  await query('insert into kept values (1)');
  const { socketDirectory } = server;
  await kill();
  await start();
  expect(await query('select id from kept')).toEqual([1]);
  expect(server.socketDirectory).toBe(socketDirectory);
});

test('a backend that outlived its server keeps the next one out until it has ended', async () => {
  await start();
  const client = new Client({ connectionString: server.url(SUPERUSER, PASSWORD, 'postgres') });
  client.on('error', () => undefined);
  await client.connect();
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  const backend = rows[0]?.pid ?? 0;
  process.kill(backend, 'SIGSTOP');
  await kill();
  const next = start();
  await delay(500);
  const stillOpen = await identityOf(backend);
  process.kill(backend, 'SIGCONT');
  await next;
  expect(stillOpen).toBeDefined();
  expect(await identityOf(backend)).toBeUndefined();
});

test('a pid file that names another program by now does not stop a start, nor that program', async () => {
  await start();
  await kill();
  const stranger = spawn('sleep', ['60']);
  const file = join(directory, 'main', 'postmaster.pid');
  const [, ...rest] = (await readFile(file, 'utf8')).split('\n');
  await writeFile(file, [`${stranger.pid}`, ...rest].join('\n'));
  await start();
  expect(await query('select 1')).toEqual([1]);
  expect(stranger.signalCode).toBeNull();
  stranger.kill();
});

test('an empty pid file of a start that was cut short does not stop the next one', async () => {
  await writeFile(join(directory, 'main', 'postmaster.pid'), '');
  await start();
  expect(await query('select 1')).toEqual([1]);
});

test('a server that an earlier run left is ended before a new one starts', async () => {
  await start();
  const left = server;
  await start();
  expect(await left.exited).toBe('code 0');
  expect(await query('select 1')).toEqual([1]);
});

test.runIf(process.platform === 'linux')('a server ends with the process that started it', async () => {
  const options = JSON.stringify({ directory, name: 'main', superuserPassword: PASSWORD });
  const script = `
    const { startPostgres } = await import(${JSON.stringify(new URL('./postgres-server.ts', import.meta.url))});
    console.log((await startPostgres({ ...${options}, log: () => undefined })).pid);`;
  const starter = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(createInterface({ input: starter.stdout }), 'line');
  const pid = Number(line);
  expect(await identityOf(pid)).toBeDefined();
  starter.kill('SIGKILL');
  await expect.poll(async () => await identityOf(pid), { timeout: 5_000 }).toBeUndefined();
  await start();
});

test('another superuser password than the first one is refused and leaves no server', async () => {
  await start();
  await server.stop();
  const attempt = startPostgres({ directory, name: 'main', superuserPassword: 'another', log });
  await expect(attempt).rejects.toMatchObject({ code: 'SETUP_FAILED' });
  await expect(access(join(directory, 'main', 'postmaster.pid'))).rejects.toMatchObject({ code: 'ENOENT' });
});

test('what a killed initdb left is not taken for a database', async () => {
  await mkdir(join(directory, 'second.new-left'));
  await writeFile(join(directory, 'second.new-left', 'PG_VERSION'), '18\n');
  await start('second');
  expect(await query('select 1')).toEqual([1]);
  expect((await readdir(directory)).filter((name) => name.includes('.new-'))).toEqual([]);
});

test('a folder that is no database is refused and left as it is', async () => {
  await mkdir(join(directory, 'third'));
  await writeFile(join(directory, 'third', 'mine'), 'kept');
  const attempt = startPostgres({ directory, name: 'third', superuserPassword: PASSWORD, log });
  await expect(attempt).rejects.toMatchObject({ code: 'SETUP_FAILED' });
  expect(await readdir(join(directory, 'third'))).toEqual(['mine']);
});

test('a stop leaves no process and no socket, and may be repeated', async () => {
  await start();
  await server.stop();
  await server.stop();
  expect(await identityOf(server.pid)).toBeUndefined();
  await expect(access(server.socketDirectory)).rejects.toMatchObject({ code: 'ENOENT' });
});
