import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { temporalCliPath } from './temporal-cli.ts';
import { startTemporalServer } from './temporal-server.ts';

let directory: string;
const cli = temporalCliPath(process.env);
const log = () => undefined;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'firebreak-'));
});

afterAll(async () => await rm(directory, { recursive: true }));

async function listen(): Promise<{ port: number; close: () => Promise<void> }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('expected a port');
  const close = async () => {
    server.close();
    await once(server, 'close');
  };
  return { port: address.port, close };
}

async function freePort(): Promise<number> {
  const { port, close } = await listen();
  await close();
  return port;
}

async function withClient<T>(address: string, work: (client: Client) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address });
  try {
    return await work(new Client({ connection, namespace: 'default' }));
  } finally {
    await connection.close();
  }
}

async function startWaiting(client: Client, workflowId: string): Promise<void> {
  await client.workflow.start('waits', { workflowId, taskQueue: 'nobody-polls' });
}

async function statusOf(client: Client, workflowId: string): Promise<string> {
  return (await client.workflow.getHandle(workflowId).describe()).status.name;
}

test('a waiting workflow is still there after a stop and after kill -9', async () => {
  const options = { cli, databaseFile: join(directory, 'temporal', 'temporal.db'), log };
  const first = await startTemporalServer({ ...options, port: await freePort() });
  await withClient(first.address, async (client) => await startWaiting(client, 'before-stop'));
  await first.stop();

  const second = await startTemporalServer({ ...options, port: await freePort() });
  await withClient(second.address, async (client) => {
    expect(await statusOf(client, 'before-stop')).toBe('RUNNING');
    await startWaiting(client, 'before-kill');
  });
  process.kill(second.pid, 'SIGKILL');
  expect(await second.exited).toBe('signal SIGKILL');

  const third = await startTemporalServer({ ...options, port: await freePort() });
  await withClient(third.address, async (client) => {
    expect(await statusOf(client, 'before-kill')).toBe('RUNNING');
  });
  await third.stop();
  await third.stop();
  await expect(third.exited).resolves.toMatch(/^(code|signal)/);
});

test('a port in use is refused, so that a stranger is not taken for the server', async () => {
  const stranger = await listen();
  const options = { cli, databaseFile: join(directory, 'other.db'), port: stranger.port, log };
  await expect(startTemporalServer(options)).rejects.toMatchObject({
    code: 'SETUP_FAILED',
    message: expect.stringContaining(`port ${stranger.port}`),
  });
  await stranger.close();
});

test('a program that ends by itself is refused with its last words', async () => {
  const options = { cli: '/bin/ls', databaseFile: join(directory, 'other.db'), port: await freePort(), log };
  await expect(startTemporalServer(options)).rejects.toMatchObject({ code: 'SETUP_FAILED' });
});

test('a program that is not there is refused', async () => {
  const options = {
    cli: '/nowhere/temporal',
    databaseFile: join(directory, 'other.db'),
    port: await freePort(),
    log,
  };
  await expect(startTemporalServer(options)).rejects.toMatchObject({ code: 'SETUP_FAILED' });
});
