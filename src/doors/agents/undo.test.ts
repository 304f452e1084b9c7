import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask, count, send } from '../../../test/fixtures/agent-calls.ts';
import { type AgentsDoor, startAgentsDoor, type WorkloadName } from '../../../test/fixtures/agents-door.ts';
import type { AgentClient } from '../../cli/agent-client.ts';
import { codeOf } from '../../refusal.ts';

let door: AgentsDoor;
let client: AgentClient;
beforeAll(async () => {
  door = await startAgentsDoor();
  client = (await door.open()).client;
});
afterAll(async () => await door.stop());

const setState = async (id: string, state: string) =>
  void (await door.query('update firebreak.request set state = $2 where id = $1', [id, state]));

/** A done request with a plan, as far as this door reads one. */
async function done(undo: 'kept' | 'none' = 'kept', by: AgentClient = client): Promise<string> {
  const { requestId } = await by.submit(ask);
  const plan = JSON.stringify({ version: 1, summary: [], counts: {}, undo, effects: null });
  await door.query(
    `insert into firebreak.plan (request_id, revision, plan_hash, body, statement) values ($1, 1, 'h', $2, 's')`,
    [requestId, plan],
  );
  await setState(requestId, 'done');
  return requestId;
}

test('undo of a done request is a request of its own, for the same agent', async () => {
  const requestId = await done();
  const undo = await client.undo(requestId);
  expect(undo).toMatchObject({ state: 'accepted', revision: 1 });
  expect(undo.requestId).not.toBe(requestId);
  expect(await client.show(undo.requestId)).toMatchObject({
    action: 'test.things.restore',
    resource: `shop/undo/${requestId}`,
  });
  const [row] = await door.query('select * from firebreak.request where id = $1', [undo.requestId]);
  expect(row).toMatchObject({ agent: 'cleaner', effect_class: 'reversible' });
  expect(await count(door, 'outbox', `request_id = '${undo.requestId}' and kind = 'start'`)).toBe(1);
});

test('the same undo again is the same request while it is open, and another one afterwards', async () => {
  const requestId = await done();
  const all = await Promise.all([1, 2, 3].map(async () => await client.undo(requestId)));
  const [first] = all;
  expect(new Set(all.map((undo) => undo.requestId)).size).toBe(1);
  await setState(first?.requestId ?? '', 'waiting');
  expect(await client.undo(requestId)).toMatchObject({ requestId: first?.requestId, state: 'waiting' });
  await setState(first?.requestId ?? '', 'denied');
  const second = await client.undo(requestId);
  expect(second.requestId).not.toBe(first?.requestId);
  expect(await client.undo(requestId)).toMatchObject({ requestId: second.requestId });
});

test('no more than 20 requests undo one request', async () => {
  const requestId = await done();
  for (let number = 1; number <= 20; number += 1) {
    await setState((await client.undo(requestId)).requestId, 'denied');
  }
  await expect(client.undo(requestId).catch(codeOf)).resolves.toBe('RATE_LIMITED');
});

test.each(['accepted', 'waiting', 'denied', 'failed', 'cancelled', 'indeterminate'])(
  'a request that is %s is not undone',
  async (state) => {
    const requestId = await done();
    await setState(requestId, state);
    await expect(client.undo(requestId).catch(codeOf)).resolves.toBe('NOTHING_KEPT');
  },
);

test('a request whose plan kept no undo, and one whose action has none, are not undone', async () => {
  await expect(client.undo(await done('none')).catch(codeOf)).resolves.toBe('NOTHING_KEPT');
  const { requestId } = await client.undo(await done());
  await setState(requestId, 'done');
  await expect(client.undo(requestId).catch(codeOf)).resolves.toBe('NOTHING_KEPT');
});

test('another agent undoes nothing, and is told the same as for no request', async () => {
  const requestId = await done();
  for (const other of ['sweeper', 'stranger', 'staging'] satisfies WorkloadName[]) {
    const attempt = (await door.open(other)).client.undo(requestId);
    await expect(attempt.catch(codeOf)).resolves.toBe('UNKNOWN_REQUEST');
  }
  await expect(client.undo(requestId)).resolves.toMatchObject({ state: 'accepted' });
});

test('the key of an undo cannot be taken by an agent', async () => {
  const held = await door.open();
  const key = `"undo → ${await done()} 1"`;
  const taken = await send(door, held, {
    body: JSON.stringify(ask),
    headers: { 'idempotency-key': Buffer.from(key, 'utf8').toString('latin1') },
  });
  expect(taken).toMatchObject({ status: 400, json: { code: 'INVALID_INPUT' } });
});
