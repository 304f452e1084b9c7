import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ask, send } from '../../../test/fixtures/agent-calls.ts';
import { type AgentsDoor, startAgentsDoor, type WorkloadName } from '../../../test/fixtures/agents-door.ts';
import { thingsDelete } from '../../../test/fixtures/test-actions.ts';
import { sealResult } from '../../identity/result-envelope.ts';
import { codeOf, Refusal } from '../../refusal.ts';

let door: AgentsDoor;
beforeAll(async () => {
  door = await startAgentsDoor();
});
afterAll(async () => await door.stop());

describe('show', () => {
  const setState = async (id: string, state: string, detail: object = {}) => {
    await door.query(
      'update firebreak.request set state = $2, state_detail = $3, state_at = clock_timestamp() where id = $1',
      [id, state, detail],
    );
    await door.query(`select pg_notify('firebreak_request', $1)`, [id]);
  };
  const refusalOf = async (work: Promise<unknown>) => {
    const error: unknown = await work.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    return error instanceof Refusal ? `${codeOf(error)}: ${error.message}` : error;
  };

  test('the agent that asked sees its request; others see the same as for none', async () => {
    const { client } = await door.open();
    const { requestId } = await client.submit(ask);
    expect(await client.show(requestId)).toMatchObject({
      requestId,
      state: 'accepted',
      final: false,
      resource: 'shop/orders',
    });
    expect(await (await door.open()).client.show(requestId)).toMatchObject({ requestId });
    const none = await refusalOf(client.show(`req_${'A'.repeat(22)}`));
    expect(none).toMatch(/^UNKNOWN_REQUEST/);
    for (const other of ['sweeper', 'stranger', 'staging'] satisfies WorkloadName[]) {
      expect(await refusalOf((await door.open(other)).client.show(requestId))).toBe(none);
    }
    expect(await refusalOf(client.show("x' or true --"))).toBe(none);
    // An agent that was moved to another tenant leaves its requests behind.
    await door.query(`update firebreak.request set tenant = 'globex' where id = $1`, [requestId]);
    expect(await refusalOf(client.show(requestId))).toBe(none);
  });

  test('a long poll answers at the change, at the end of its time, and at once for what has ended', async () => {
    const { client } = await door.open();
    const { requestId } = await client.submit(ask);
    const polls = [client.show(requestId, 20), client.show(requestId, 20)];
    setTimeout(() => void setState(requestId, 'waiting'), 300);
    const started = performance.now();
    for (const view of await Promise.all(polls)) expect(view.state).toBe('waiting');
    expect(performance.now() - started).toBeLessThan(4_000);

    const short = performance.now();
    expect((await client.show(requestId, 1)).state).toBe('waiting');
    expect(performance.now() - short).toBeGreaterThan(900);

    await setState(requestId, 'failed', { code: 'PLAN_UNSUPPORTED' });
    const ended = performance.now();
    expect(await client.show(requestId, 20)).toMatchObject({
      final: true,
      detail: { code: 'PLAN_UNSUPPORTED' },
    });
    expect(performance.now() - ended).toBeLessThan(2_000);
  });

  test('a poll that was woken before the state moved goes on waiting', async () => {
    const { client } = await door.open();
    const { requestId } = await client.submit(ask);
    const poll = client.waitFor(requestId, { timeoutMs: 10_000 });
    setTimeout(() => void door.query(`select pg_notify('firebreak_request', $1)`, [requestId]), 100);
    setTimeout(() => void setState(requestId, 'done'), 500);
    expect((await poll).state).toBe('done');
  });

  test.each(['30', '61s', '-1s', '030s', '1.5s', '1m', '5s&wait=5s', '5s&more=1'])(
    'wait=%s is refused',
    async (wait) => {
      const held = await door.open();
      const path = `/v1/requests/req_${'A'.repeat(22)}`;
      const { json } = await send(door, held, {
        method: 'GET',
        path: `${path}?wait=${wait}`,
        proofUrl: `${door.origin}${path}`,
      });
      expect(json).toMatchObject({ status: 400, code: 'INVALID_INPUT' });
    },
  );

  test('the list holds own requests alone, newest first, up to the limit', async () => {
    const sweeper = await door.open('sweeper');
    const first = await sweeper.client.submit(ask);
    const second = await sweeper.client.submit(ask);
    await (await door.open()).client.submit(ask);
    expect((await sweeper.client.list(2)).map(({ requestId }) => requestId)).toEqual([
      second.requestId,
      first.requestId,
    ]);
    expect(await refusalOf(sweeper.client.list(101))).toMatch(/^INVALID_INPUT/);
  });

  test('a result is opened for its own request alone', async () => {
    const { client } = await door.open();
    const { requestId } = await client.submit(ask);
    expect(await refusalOf(client.result(requestId))).toMatch(/^NO_RESULT/);
    const store = async (envelope: string) =>
      await door.query(
        'insert into firebreak.result values ($1, $2) on conflict (request_id) do update set envelope = $2',
        [requestId, envelope],
      );
    await store(await sealResult(requestId, '{"rows":2}', door.resultKey));
    expect(await client.result(requestId)).toEqual({ rows: 2 });
    await store(await sealResult('req_of_somebody_else', '{"rows":2}', door.resultKey));
    expect(await refusalOf(client.result(requestId))).toMatch(/^INTERNAL/);
    expect(await refusalOf((await door.open('sweeper')).client.result(requestId))).toMatch(
      /^UNKNOWN_REQUEST/,
    );
  });

  test('the actions are shown with the schema of their input', async () => {
    const { client } = await door.open();
    expect(await client.actions()).toMatchObject({
      actions: [
        {
          name: thingsDelete.name,
          effectClass: 'reversible',
          input: { type: 'object', required: ['database', 'table', 'ids'] },
        },
        { name: 'test.things.restore', input: { required: ['database', 'requestId'] } },
      ],
    });
  });
});
