import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ask, body, count, post } from '../../../test/fixtures/agent-calls.ts';
import { type AgentsDoor, startAgentsDoor } from '../../../test/fixtures/agents-door.ts';
import { parseContent, requestDigestOf } from '../../action/request.ts';
import { openContext } from '../../identity/context-envelope.ts';
import { verify } from '../../identity/verify.ts';

let door: AgentsDoor;
beforeAll(async () => {
  door = await startAgentsDoor();
});
afterAll(async () => await door.stop());

describe('submit', () => {
  test('an accepted request is durable with its outbox row and its signed entry before the answer', async () => {
    const held = await door.open();
    const answer = await post(
      door,
      held,
      JSON.stringify({ ...ask, justification: 'old rows', changeTicket: 'CHG-1' }),
      {
        traceparent: `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`,
      },
    );
    expect(answer.status).toBe(202);
    const { requestId } = z.object({ requestId: z.string().regex(/^req_[\w-]{22}$/) }).parse(answer.json);
    expect(answer.headers.get('location')).toBe(`/v1/requests/${requestId}`);
    expect(answer.json).toMatchObject({
      revision: 1,
      state: 'accepted',
      links: { self: `/v1/requests/${requestId}` },
    });

    const [row] = await door.query('select * from firebreak.request where id = $1', [requestId]);
    const stored = z
      .object({ content: z.string(), context_envelope: z.string(), expires_at: z.date() })
      .parse(row);
    const content = parseContent(stored.content);
    expect(content).toMatchObject({
      sub: 'agent:cleaner',
      act: null,
      tenant: 'acme',
      environment: 'production',
      schemaVersion: 3,
      input: { database: 'shop', table: 'orders', ids: [1, 2], limit: 100 },
      resource: 'shop/orders',
    });
    expect(answer.json['requestDigest']).toBe(requestDigestOf(content));
    expect(row).toMatchObject({
      agent: 'cleaner',
      target: 'shop',
      effect_class: 'reversible',
      justification: 'old rows\nchange ticket: CHG-1',
      trace_id: 'ab'.repeat(16),
      state: 'accepted',
    });
    expect(
      await count(door, 'outbox', `request_id = '${requestId}' and kind = 'start' and domain = 'gateway'`),
    ).toBe(1);

    const entries = z
      .array(z.object({ kind: z.string(), author: z.string(), appended_by: z.string(), jws: z.string() }))
      .parse(
        await door.query('select * from firebreak.entry where request_id = $1 order by recorded_at', [
          requestId,
        ]),
      );
    expect(entries.map(({ kind, appended_by }) => [kind, appended_by])).toEqual([
      ['context-issued', 'firebreak_broker'],
      ['requested', 'firebreak_gateway'],
    ]);
    const nowS = Math.floor(Date.now() / 1_000);
    const entry = await verify('entry', entries[1]?.jws ?? '', { keys: door.database.keys, nowS });
    expect(entry).toMatchObject({
      iss: 'gateway',
      actor: 'agent:cleaner',
      subject: 'cleaner',
      session: held.session.sessionId,
      requestDigest: requestDigestOf(content),
      effectClass: 'reversible',
      traceId: 'ab'.repeat(16),
    });

    const token = await openContext(stored.context_envelope, door.contextKey);
    const context = await verify('context', token, { keys: door.database.keys, nowS, audience: 'firebreak' });
    expect(context).toMatchObject({
      requestId,
      requestDigest: requestDigestOf(content),
      txn: 'ab'.repeat(16),
    });
    expect(context.exp).toBe(stored.expires_at.getTime() / 1_000);
  });

  test('a malformed traceparent starts a new trace', async () => {
    const held = await door.open();
    const { requestId } = await held.client.submit(ask, {
      traceparent: `00-${'0'.repeat(32)}-${'cd'.repeat(8)}-01`,
    });
    expect((await held.client.show(requestId)).traceId).toMatch(/^(?!0{32})[0-9a-f]{32}$/);
  });

  test('every fault of body and input is named by JSON pointer, and nothing is filed', async () => {
    const before = await count(door, 'request');
    const held = await door.open();
    const wrong = { ...ask, extra: 1, input: { database: '', ids: ['x', 1.5], 'a/b': true } };
    const answer = await post(door, held, JSON.stringify(wrong));
    expect(answer.status).toBe(400);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    expect(answer.json).toMatchObject({ code: 'INVALID_INPUT', retry: false });
    const { details } = z
      .object({ details: z.object({ faults: z.array(z.object({ pointer: z.string() })) }) })
      .parse(answer.json);
    expect(details.faults.map(({ pointer }) => pointer).sort()).toEqual(
      ['/extra', '/input/a~1b', '/input/database', '/input/ids/0', '/input/ids/1', '/input/table'].sort(),
    );
    const twice = await post(door, held, body.replace('{', '{"action":"x",'));
    expect(twice.json).toMatchObject({
      code: 'INVALID_INPUT',
      details: { faults: [{ pointer: '/action' }] },
    });
    expect((await post(door, held, '{')).json).toMatchObject({ status: 400, code: 'MALFORMED_JSON' });
    expect((await post(door, held, '')).status).toBe(400);
    expect((await post(door, held, body, { 'content-type': 'text/plain' })).json).toMatchObject({
      code: 'INVALID_INPUT',
    });
    expect((await post(door, held, `"${'a'.repeat(200_000)}"`)).json).toMatchObject({
      status: 413,
      code: 'TOO_LARGE',
    });
    expect(await count(door, 'request')).toBe(before);
  });

  test('an action that nobody defined is refused', async () => {
    const held = await door.open();
    const answer = await post(door, held, JSON.stringify({ ...ask, action: 'no.such.action' }));
    expect(answer.json).toMatchObject({ status: 404, code: 'UNKNOWN_ACTION' });
  });

  test('a target of another tenant or environment is refused like one that is not there', async () => {
    const held = await door.open();
    const of = (database: string) => JSON.stringify({ ...ask, input: { ...ask.input, database } });
    const foreign = await post(door, held, of('bank'));
    expect(foreign).toMatchObject({ status: 403, json: { code: 'NOT_PERMITTED' } });
    expect((await post(door, held, of('nowhere'))).json).toEqual(foreign.json);
    expect((await post(door, await door.open('staging'), of('shop'))).json).toEqual(foreign.json);
    expect((await post(door, await door.open('stranger'), of('bank'))).status).toBe(202);
  });
});

describe('Idempotency-Key', () => {
  const keyed = (key: string) => ({ 'idempotency-key': key });

  test('the same body is the same request, another body is refused', async () => {
    const held = await door.open();
    const first = await post(door, held, body, keyed('"order-1"'));
    const spaced = JSON.stringify({ input: ask.input, action: ask.action }, undefined, 2);
    const again = await post(door, held, spaced, keyed('order-1'));
    expect(again).toMatchObject({ status: 202, json: first.json });
    expect(again.headers.get('location')).toBe(first.headers.get('location'));
    const other = await post(door, held, JSON.stringify({ ...ask, justification: 'x' }), keyed('"order-1"'));
    expect(other.json).toMatchObject({ status: 422, code: 'IDEMPOTENCY_KEY_REUSED' });
  });

  test('a later session of the same agent meets the same request, another agent a new one', async () => {
    const first = await (await door.open()).client.submit(ask, { idempotencyKey: 'shared' });
    const later = await (await door.open()).client.submit(ask, { idempotencyKey: 'shared' });
    const other = await (await door.open('sweeper')).client.submit(ask, { idempotencyKey: 'shared' });
    expect(later).toEqual(first);
    expect(other.requestId).not.toBe(first.requestId);
  });

  test('of many at once one is filed', async () => {
    const held = await door.open();
    const before = await count(door, 'request');
    const answers = await Promise.all(
      Array.from({ length: 12 }, async () => await held.client.submit(ask, { idempotencyKey: 'at-once' })),
    );
    expect(new Set(answers.map(({ requestId }) => requestId)).size).toBe(1);
    expect(await count(door, 'request')).toBe(before + 1);
  });

  test.each(['""', '"', 'with space', '"a"b"', 'ä', 'a'.repeat(129), `"${'a'.repeat(129)}"`])(
    '%j is refused',
    async (key) => {
      const held = await door.open();
      const answer = post(door, held, body, { 'idempotency-key': Buffer.from(key).toString('latin1') });
      expect((await answer).json).toMatchObject({ status: 400, code: 'INVALID_INPUT' });
    },
  );

  test('a quoted key may hold spaces and escapes', async () => {
    const held = await door.open();
    expect((await post(door, held, body, keyed(String.raw`"a \"b\" \\c"`))).status).toBe(202);
  });
});
