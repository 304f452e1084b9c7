import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type FirebreakDatabase, startFirebreakDatabase } from '../../../test/fixtures/firebreak-database.ts';
import type { DatabasePool } from '../../database/pool.ts';
import { Refusal } from '../../refusal.ts';
import { type Outbox, type Starter, startOutbox } from './outbox.ts';

let database: FirebreakDatabase;
let gateway: DatabasePool;
let superuser: Client;
beforeAll(async () => {
  database = await startFirebreakDatabase();
  gateway = database.open('gateway');
  superuser = new Client({ connectionString: database.superuserUrl('firebreak') });
  await superuser.connect();
  await superuser.query(
    `insert into firebreak.session (id, agent, agent_class, sub, owner, tenant, environment, purpose, jkt, expires_at)
     values ('ses', 'a', 'c', 'agent:a', 'o', 't', 'e', 'p', 'j', now() + interval '1 hour')`,
  );
});
afterAll(async () => {
  await superuser.end();
  await database.stop();
});

let outbox: Outbox | undefined;
afterEach(async () => {
  await outbox?.close();
  outbox = undefined;
  await superuser.query('truncate firebreak.request cascade');
});

const rowOf = (id: string) => ({
  id,
  revision: 1,
  content: '{}',
  requestDigest: 'd',
  tenant: 't',
  environment: 'e',
  sessionId: 'ses',
  agent: 'a',
  action: 'x',
  target: 't',
  resource: 'r',
  effectClass: 'read',
  traceId: 't',
  bodyHash: 'b',
});

async function file(): Promise<string> {
  const id = `req_${randomUUID()}`;
  const entry = await (await database.entryWriter('gateway'))({ kind: 'requested', requestId: id });
  const expiresAt = new Date(Date.now() + 60_000).toISOString();
  const row = { ...rowOf(id), contextEnvelope: `context of ${id}`, expiresAt };
  await gateway.run('select firebreak.file_request($1, $2)', [row, entry]);
  return id;
}

/** Stands for Temporal: what it was told to start, and how it fails on the way. */
function createFake(fail: (requestId: string) => Error | undefined = () => undefined) {
  const started: string[] = [];
  const state = { connects: 0, closed: false };
  const starter: Starter = {
    async start({ requestId, contextEnvelope }) {
      const error = fail(requestId);
      if (error !== undefined) throw error;
      expect(contextEnvelope).toBe(`context of ${requestId}`);
      started.push(requestId);
    },
    isReachable: async () => true,
    async close() {
      state.closed = true;
    },
  };
  const connect = async () => {
    state.connects += 1;
    return starter;
  };
  return { started, state, connect };
}

async function run(connect: () => Promise<Starter>): Promise<Outbox> {
  const running = startOutbox({ database: gateway, connect, log: database.log });
  outbox = running;
  await gateway.listen(['firebreak_outbox_gateway'], () => running.ring());
  return running;
}

async function until(what: () => boolean | Promise<boolean>, timeoutMs = 15_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await what())) {
    if (performance.now() > deadline) throw new Error('waited too long');
    await pause(10);
  }
}

/** The fastest of some, so that a busy machine is no failure; a look without a ring takes up to a second. */
async function fastestStartMs(fake: { started: string[] }): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < 4; round += 1) {
    const filed = performance.now();
    const id = await file();
    await until(() => fake.started.includes(id));
    times.push(performance.now() - filed);
  }
  return Math.min(...times);
}

const open = async () => {
  const { rows } = await superuser.query('select from firebreak.outbox where done_at is null');
  return rows.length;
};

test('a filed request is started once, at once, and its row is settled', async () => {
  const fake = createFake();
  await run(fake.connect);
  await until(() => fake.state.connects === 1);
  expect(await fastestStartMs(fake)).toBeLessThan(250);
  await until(async () => (await open()) === 0);
  await pause(1_200);
  expect(new Set(fake.started).size).toBe(fake.started.length);
  await outbox?.close();
  expect(fake.state.closed).toBe(true);
});

test('many requests that were left by a door that died are all started, without a ring', async () => {
  const ids = await Promise.all(Array.from({ length: 50 }, async () => await file()));
  const fake = createFake();
  outbox = startOutbox({ database: gateway, connect: fake.connect, log: database.log });
  await until(async () => (await open()) === 0);
  expect(fake.started.toSorted()).toEqual(ids.toSorted());
});

test('a row that was taken by a door that died is started after its lease', async () => {
  const id = await file();
  await gateway.run(`select firebreak.take_outbox(10, interval '2 seconds')`);
  const fake = createFake();
  await run(fake.connect);
  await pause(500);
  expect(fake.started).toEqual([]);
  await until(() => fake.started.includes(id));
});

test('while nobody can be reached rows stay, and afterwards they go on', async () => {
  let away = true;
  const fake = createFake(() => (away ? new Refusal('UNAVAILABLE', 'away') : undefined));
  const connect = async () => {
    if (away) throw new Refusal('UNAVAILABLE', 'away');
    return await fake.connect();
  };
  const running = await run(connect);
  await file();
  await file();
  await pause(1_500);
  expect(await running.isReachable()).toBe(false);
  expect(await open()).toBe(2);
  away = false;
  await until(() => fake.started.length === 2);
  expect(await running.isReachable()).toBe(true);
  away = true;
  await file();
  await pause(300);
  const later = await file();
  await pause(300);
  expect(await open()).toBe(2);
  // What is away is not asked again for every request that arrives.
  const { rows } = await superuser.query('select attempts from firebreak.outbox where request_id = $1', [
    later,
  ]);
  expect(rows).toEqual([{ attempts: 0 }]);
  away = false;
  await until(async () => (await open()) === 0);
});

test('a poisoned row delays no other', async () => {
  const poisoned = new Set(await Promise.all(Array.from({ length: 20 }, async () => await file())));
  const fake = createFake((id) => (poisoned.has(id) ? new Error('poisoned') : undefined));
  await run(fake.connect);
  const id = await file();
  const filed = performance.now();
  await until(() => fake.started.includes(id));
  // Well before the lease of the others ends.
  expect(performance.now() - filed).toBeLessThan(5_000);
  expect(await open()).toBeGreaterThanOrEqual(20);
});

test('two doors share the work and start nothing twice', async () => {
  const ids = await Promise.all(Array.from({ length: 60 }, async () => await file()));
  const fakes = [createFake(), createFake()] as const;
  const second = startOutbox({
    database: database.open('gateway'),
    connect: fakes[1].connect,
    log: database.log,
  });
  await run(fakes[0].connect);
  await until(async () => (await open()) === 0);
  await second.close();
  expect([...fakes[0].started, ...fakes[1].started].toSorted()).toEqual(ids.toSorted());
});

test('a database that goes away and comes back is worked on again, and its rings are heard', async () => {
  const fake = createFake();
  await run(fake.connect);
  await until(() => fake.state.connects === 1);
  await superuser.end();
  await database.stopServer();
  await pause(2_500);
  await database.startServer();
  superuser = new Client({ connectionString: database.superuserUrl('firebreak') });
  await superuser.connect();
  const id = await file();
  await until(() => fake.started.includes(id));
  await pause(4_500);
  expect(await fastestStartMs(fake)).toBeLessThan(250);
});
