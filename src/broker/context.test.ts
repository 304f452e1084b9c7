import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AgentsDoor, startAgentsDoor } from '../../test/fixtures/agents-door.ts';
import { canonicalDigest } from '../canonical.ts';
import { openContext } from '../identity/context-envelope.ts';
import { verify } from '../identity/verify.ts';
import { createContextIssuer } from './context.ts';

let door: AgentsDoor;
let issue: ReturnType<typeof createContextIssuer>;
beforeAll(async () => {
  door = await startAgentsDoor();
  issue = createContextIssuer({
    database: door.database.open('broker'),
    keys: door.database.keys,
    writeEntry: await door.database.entryWriter('broker'),
    signingKey: await door.database.signer('broker', 'context'),
    sealingKey: door.contextKey,
    origin: door.origin,
    clock: () => Date.now() + door.time.aheadMs,
  });
});
afterAll(async () => await door.stop());

const nowS = () => Math.floor(Date.now() / 1_000);
const bodyOf = (accessToken: string, expiresAtS = nowS() + 600) => ({
  requestId: 'req_x',
  revision: 1,
  accessToken,
  txn: 'trace',
  requestDigest: canonicalDigest({ some: 'request' }),
  expiresAtS,
});

test('the context narrows: it ends with the request or with the session, whichever is first', async () => {
  const { session } = await door.open();
  const expOf = async (expiresAtS: number) => {
    const { envelope } = await issue(bodyOf(session.accessToken, expiresAtS));
    const token = await openContext(envelope, door.contextKey);
    return await verify('context', token, { keys: door.database.keys, nowS: nowS(), audience: 'firebreak' });
  };
  const soon = nowS() + 60;
  expect(await expOf(soon)).toMatchObject({ exp: soon, sid: session.sessionId, scope: 'cleanup', epoch: 0 });
  const late = nowS() + 1_000_000;
  expect((await expOf(late)).exp).toBeLessThanOrEqual(nowS() + door.settings.limits.sessionMinutes * 60);
  await expect(expOf(nowS() - 1)).rejects.toMatchObject({ code: 'SESSION_EXPIRED' });
});

test('the broker believes no gateway: it verifies the token and reads the session itself', async () => {
  const { session } = await door.open();
  const refused = async (token: string, code: string) =>
    await expect(issue(bodyOf(token))).rejects.toMatchObject({ code });
  await issue(bodyOf(session.accessToken));
  await refused(`${session.accessToken.slice(0, -8)}AAAAAAAA`, 'INVALID_TOKEN');
  door.time.aheadMs = 3_601_000;
  await refused(session.accessToken, 'INVALID_TOKEN');
  door.time.aheadMs = 0;
  await door.query('update firebreak.session set epoch = 1 where id = $1', [session.sessionId]);
  await refused(session.accessToken, 'SESSION_REVOKED');
  await door.query('update firebreak.session set epoch = 0, expires_at = now() where id = $1', [
    session.sessionId,
  ]);
  await refused(session.accessToken, 'SESSION_EXPIRED');
});
