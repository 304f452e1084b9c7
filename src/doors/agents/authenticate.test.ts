import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { body, type Changes, type Held, headersOf, send } from '../../../test/fixtures/agent-calls.ts';
import { type AgentsDoor, startAgentsDoor } from '../../../test/fixtures/agents-door.ts';
import { createPossessionKey } from '../../identity/keys.ts';

let door: AgentsDoor;
beforeAll(async () => {
  door = await startAgentsDoor();
});
afterAll(async () => await door.stop());

describe('authentication', () => {
  const codes = async (held: Held, changes: Changes) => {
    const { status, json } = await send(door, held, { body, ...changes });
    return `${status} ${String(json['code'])}`;
  };

  test('one token and one fresh proof by its key is accepted, once', async () => {
    const held = await door.open();
    const headers = await headersOf(door, held, { body });
    const again = async () =>
      z
        .object({ code: z.string().optional() })
        .parse(await (await fetch(`${door.origin}/v1/requests`, { method: 'POST', headers, body })).json())
        .code;
    expect(await again()).toBeUndefined();
    expect(await again()).toBe('PROOF_REPLAYED');
  });

  test('no token, another scheme, a broken token are refused and say how to come back', async () => {
    const held = await door.open();
    const { accessToken } = held.session;
    expect(await codes(held, { headers: { authorization: '' } })).toBe('401 UNAUTHENTICATED');
    expect(await codes(held, { headers: { authorization: `Bearer ${accessToken}` } })).toBe(
      '401 UNAUTHENTICATED',
    );
    expect(
      await codes(held, { headers: { authorization: `DPoP ${accessToken.slice(0, -8)}AAAAAAAA` } }),
    ).toBe('401 INVALID_TOKEN');
    const refused = await send(door, held, { body, headers: { authorization: '' } });
    expect(refused.headers.get('www-authenticate')).toBe('DPoP algs="ES256"');
  });

  test('a proof of another method, address, token, key or time is refused', async () => {
    const held = await door.open();
    const other = await door.open();
    const nowS = Math.floor(Date.now() / 1_000);
    const refused = '401 INVALID_DPOP_PROOF';
    expect(await codes(held, { proofMethod: 'GET' })).toBe(refused);
    expect(await codes(held, { proofUrl: `${door.origin}/v1/actions` })).toBe(refused);
    expect(await codes(held, { proofUrl: 'http://elsewhere.test/v1/requests' })).toBe(refused);
    expect(await codes(held, { proofToken: other.session.accessToken })).toBe(refused);
    expect(await codes(held, { key: (await createPossessionKey()).privateJwk })).toBe(refused);
    expect(await codes(held, { nowS: nowS - 90 })).toBe(refused);
    expect(await codes(held, { nowS: nowS + 90 })).toBe(refused);
    expect(await codes(held, { headers: { dpop: '' } })).toBe(refused);
    const one = await headersOf(door, held, { body });
    expect(await codes(held, { headers: { dpop: `${one['dpop']}, ${one['dpop']}` } })).toBe(refused);
  });

  test('a revoked session, one of an older epoch and an expired one are refused', async () => {
    const held = await door.open();
    // A call that asks nobody else: the broker would refuse a submit by itself.
    const look = async () => {
      const { status, json } = await send(door, held, { method: 'GET', path: '/v1/actions' });
      return `${status} ${String(json['code'])}`;
    };
    const set = async (change: string) =>
      await door.query(`update firebreak.session set ${change} where id = $1`, [held.session.sessionId]);
    expect(await look()).toBe('200 undefined');
    await set('revoked_at = now()');
    expect(await look()).toBe('403 SESSION_REVOKED');
    await set('revoked_at = null, epoch = 1');
    expect(await look()).toBe('403 SESSION_REVOKED');
    await set('epoch = 0, expires_at = now()');
    expect(await look()).toBe('403 SESSION_EXPIRED');
    await set(`expires_at = now() + interval '1 hour', tenant = 'globex'`);
    expect(await look()).toBe('403 CONTEXT_MISMATCH');
  });

  test('a token past its hour is refused', async () => {
    const held = await door.open();
    door.time.aheadMs = 3_601_000;
    const nowS = Math.floor(Date.now() / 1_000) + 3_601;
    expect(await codes(held, { nowS })).toBe('401 INVALID_TOKEN');
    door.time.aheadMs = 0;
  });
});
