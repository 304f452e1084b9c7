import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask, count, send } from '../../../test/fixtures/agent-calls.ts';
import { type AgentsDoor, startAgentsDoor, type WorkloadName } from '../../../test/fixtures/agents-door.ts';
import type { DatabasePool } from '../../database/pool.ts';
import { codeOf } from '../../refusal.ts';

let door: AgentsDoor;
let gateway: DatabasePool;
beforeAll(async () => {
  door = await startAgentsDoor();
  gateway = door.database.open('gateway');
});
afterAll(async () => await door.stop());

const stateOf = async (id: string) =>
  (await door.query('select state from firebreak.request where id = $1', [id]))[0]?.['state'];
const setState = async (id: string, state: string) =>
  void (await door.query('update firebreak.request set state = $2 where id = $1', [id, state]));

/** A row by the superuser: what the gate checks before it writes one is not of this test. */
async function consume(id: string): Promise<void> {
  await door.query(
    `insert into firebreak.consumption (iss, jti, effect_key, fence, digest, jkt, statement, votes, receipt, receipt_exp)
     values ('broker', $2, $1, 1, 'd', 'j', '{}', '{}', '{}', now())`,
    [id, randomUUID()],
  );
}

test.each(['accepted', 'waiting', 'performing'])(
  'a request that is %s is cancelled, for good',
  async (state) => {
    const { client } = await door.open();
    const { requestId } = await client.submit(ask);
    await setState(requestId, state);
    expect(await client.cancel(requestId)).toMatchObject({ requestId, state: 'cancelled', final: true });
    expect(await client.cancel(requestId)).toMatchObject({ state: 'cancelled' });
    expect(await count(door, 'entry', `request_id = '${requestId}' and kind = 'cancelled'`)).toBe(1);
    const rung = `request_id = '${requestId}' and kind = 'look' and domain = 'people'`;
    expect(await count(door, 'outbox', rung)).toBe(1);
  },
);

test('a cancellation moves the authority row, so that a consumption under way must look again', async () => {
  const { client } = await door.open();
  const { requestId } = await client.submit(ask);
  const version = async () => (await door.query('select version from firebreak.authority'))[0]?.['version'];
  const before = await version();
  await client.cancel(requestId);
  expect(await version()).not.toBe(before);
});

test.each(['done', 'denied', 'expired', 'failed', 'indeterminate'])(
  'a request that is %s is not cancelled',
  async (state) => {
    const { client } = await door.open();
    const { requestId } = await client.submit(ask);
    await setState(requestId, state);
    await expect(client.cancel(requestId).catch(codeOf)).resolves.toBe('REQUEST_CLOSED');
    expect(await stateOf(requestId)).toBe(state);
    expect(await count(door, 'entry', `request_id = '${requestId}' and kind = 'cancelled'`)).toBe(0);
  },
);

test('a request whose capability was consumed is not cancelled', async () => {
  const { client } = await door.open();
  const { requestId } = await client.submit(ask);
  await consume(requestId);
  await expect(client.cancel(requestId)).rejects.toMatchObject({
    code: 'REQUEST_CLOSED',
    message: 'request is being performed',
  });
  expect(await stateOf(requestId)).toBe('accepted');
});

test('another agent cancels nothing, and is told the same as for no request', async () => {
  const { client } = await door.open();
  const { requestId } = await client.submit(ask);
  for (const other of ['sweeper', 'stranger', 'staging'] satisfies WorkloadName[]) {
    const attempt = (await door.open(other)).client.cancel(requestId);
    await expect(attempt.catch(codeOf)).resolves.toBe('UNKNOWN_REQUEST');
  }
  expect(await stateOf(requestId)).toBe('accepted');
  expect(await (await door.open()).client.cancel(requestId)).toMatchObject({ state: 'cancelled' });
});

test('a body that says more than nothing is refused', async () => {
  const held = await door.open();
  const { requestId } = await held.client.submit(ask);
  const path = `/v1/requests/${requestId}/cancel`;
  expect(await send(door, held, { path, body: '{"reason":"no"}' })).toMatchObject({
    status: 400,
    json: { code: 'INVALID_INPUT' },
  });
  expect(await stateOf(requestId)).toBe('accepted');
  expect(await send(door, held, { path, body: '{}' })).toMatchObject({
    status: 200,
    json: { state: 'cancelled' },
  });
});

test('an entry of another request or kind cancels nothing', async () => {
  const { client } = await door.open();
  const { requestId } = await client.submit(ask);
  const write = await door.database.entryWriter('gateway');
  for (const facts of [
    { kind: 'cancelled', requestId: 'req_other' },
    { kind: 'requested', requestId },
  ]) {
    const attempt = gateway.run('select firebreak.cancel_request($1, $2)', [requestId, await write(facts)]);
    await expect(attempt.catch(codeOf)).resolves.toBe('NOT_PERMITTED');
  }
  expect(await stateOf(requestId)).toBe('accepted');
});
