import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { performOnTarget } from '../../activities/postgres/perform.ts';
import {
  type Captured,
  capture,
  claimsOf,
  consume,
  mintAsExecutor,
  prove,
  trade,
} from '../../src/dev/captured.ts';
import { createPossessionKey } from '../../src/identity/keys.ts';
import { sign } from '../../src/identity/verify.ts';
import { createEntryWriter } from '../../src/ledger/entry.ts';
import { codeOf } from '../../src/refusal.ts';
import { type Asked, type Firebreak, startFirebreak } from '../fixtures/firebreak.ts';

/** Long enough for a call to be where it waits. */
const MEETING_MS = 500;

/** A captured executor does what persons approved, once, and nothing beyond it. */
let firebreak: Firebreak;
let executor: Captured;
beforeAll(async () => {
  firebreak = await startFirebreak();
  // The attacker takes its place: nothing else performs what people approve here.
  await firebreak.dev.kill('executor', 'SIGKILL');
  executor = await capture(firebreak, 'executor');
});
afterAll(async () => {
  await executor.close();
  await firebreak.stop();
});

let asked: Asked;
beforeEach(async () => {
  asked = await firebreak.submit();
});

async function approved(): Promise<string> {
  await firebreak.click(asked, 'alice');
  await expect.poll(async () => await kinds(), { timeout: 10_000 }).toContain('voted');
  return asked.requestId;
}

async function kinds(): Promise<string[]> {
  return (await firebreak.entries(asked.requestId)).map(({ kind }) => kind);
}

const targetUrl = () => executor.environment['FIREBREAK_TARGET_URL_SHOP'] ?? '';

test('what was approved can be done, once', async () => {
  const attempt = await mintAsExecutor(executor, await approved());
  const used = await consume(firebreak, executor, attempt);
  const { credentialsMac } = await trade(firebreak, executor, { ...attempt, used });
  const credential = { statement: used.statement, gateMac: used.gateMac, credentialsMac };
  expect(await performOnTarget(credential, targetUrl())).toMatchObject({ repeated: false });
  expect(await performOnTarget(credential, targetUrl())).toMatchObject({ repeated: true });
  expect(await firebreak.target.effects(asked.requestId)).toMatchObject({ count: 1 });
});

test('without any vote no capability is minted', async () => {
  await firebreak.slack.findCard(asked.requestId);
  await expect(mintAsExecutor(executor, asked.requestId).catch(codeOf)).resolves.toBe('APPROVAL_MISSING');
  expect(await kinds()).toContain('mint-refused');
});

test('a vote of the agent’s own owner is refused, and nothing is minted by it', async () => {
  await firebreak.click(asked, 'dana');
  await expect.poll(async () => await kinds(), { timeout: 10_000 }).toContain('vote-refused');
  const refused = (await firebreak.entries(asked.requestId)).find(({ kind }) => kind === 'vote-refused');
  expect(refused).toMatchObject({ code: 'SELF_APPROVAL', voter: 'dana' });
  await expect(mintAsExecutor(executor, asked.requestId).catch(codeOf)).resolves.toBe('APPROVAL_MISSING');
});

test('the same attempt gets the same receipt, and a second capability of the request opens nothing', async () => {
  const requestId = await approved();
  const first = await mintAsExecutor(executor, requestId);
  const second = await mintAsExecutor(executor, requestId);
  const used = await consume(firebreak, executor, first);
  const again = await consume(firebreak, executor, first);
  expect(claimsOf(again.receipt)).toEqual(claimsOf(used.receipt));
  await expect(consume(firebreak, executor, second).catch(codeOf)).resolves.toBe('EFFECT_EXISTS');
});

test('a capability whose act has ended is spent', async () => {
  const attempt = await mintAsExecutor(executor, await approved());
  const used = await consume(firebreak, executor, attempt);
  const { effectKey, fence, digest, requestId, revision } = claimsOf(used.receipt);
  const statement = await sign(await executor.signer('outcome'), 'outcome', {
    iss: 'executor',
    iat: Math.floor(Date.now() / 1_000),
    jti: 'an-outcome',
    requestId: String(requestId),
    revision: Number(revision),
    digest: String(digest),
    effectKey: String(effectKey),
    fence: Number(fence),
    outcome: 'refused',
    code: 'TARGET_REFUSED',
    counts: {},
  });
  const writeEntry = createEntryWriter(await executor.signer('entry'), () => Date.now());
  const entry = await writeEntry({ kind: 'performed', requestId: asked.requestId, outcome: 'refused' });
  await executor.database.run('select firebreak.record_outcome($1, $2)', [statement, entry]);
  await expect(consume(firebreak, executor, attempt).catch(codeOf)).resolves.toBe('CAPABILITY_SPENT');
});

test('a request that its agent cancelled is neither minted nor consumed, whatever was minted before', async () => {
  const attempt = await mintAsExecutor(executor, await approved());
  expect(await firebreak.client.cancel(asked.requestId)).toMatchObject({ state: 'cancelled' });
  await expect(consume(firebreak, executor, attempt).catch(codeOf)).resolves.toBe('REQUEST_CLOSED');
  await expect(mintAsExecutor(executor, asked.requestId).catch(codeOf)).resolves.toBe('REQUEST_CLOSED');
  expect(await firebreak.isThere(asked)).toBe(true);
});

test('a consumption that meets a cancellation under way waits for it, and is refused', async () => {
  const attempt = await mintAsExecutor(executor, await approved());
  const gateway = await capture(firebreak, 'gateway');
  const writeEntry = createEntryWriter(await gateway.signer('entry'), () => Date.now());
  const { requestId } = asked;
  const entry = await writeEntry({ kind: 'cancelled', requestId, revision: 1 });
  const used = await gateway.database.transaction(async (tx) => {
    await tx.run('select firebreak.cancel_request($1, $2)', [requestId, entry]);
    const meeting = consume(firebreak, executor, attempt).then(() => 'consumed', codeOf);
    await delay(MEETING_MS);
    return { meeting };
  });
  await expect(used.meeting).resolves.toBe('REQUEST_CLOSED');
  await gateway.close();
  expect(await kinds()).not.toContain('consumed');
});

test('another executor’s key opens neither gate nor credentials service', async () => {
  const attempt = await mintAsExecutor(executor, await approved());
  const other = await createPossessionKey();
  await expect(consume(firebreak, executor, attempt, other).catch(codeOf)).resolves.toBe('WRONG_KEY');
  expect(await kinds()).toContain('consume-refused');
  const used = await consume(firebreak, executor, attempt);
  const stolen = trade(firebreak, executor, { ...attempt, used }, { key: other });
  await expect(stolen.catch(codeOf)).resolves.toBe('WRONG_KEY');
});

test('a proof that was seen before is refused', async () => {
  const attempt = await mintAsExecutor(executor, await approved());
  const { capability, planStatement } = attempt;
  const url = `${firebreak.dev.settings.addresses.gate}/call/consume`;
  const proof = await prove(attempt.key, capability, url);
  await executor.caller.call('gate', 'consume', { capability, proof, planStatement });
  const replayed = executor.caller.call('gate', 'consume', { capability, proof, planStatement });
  await expect(replayed.catch(codeOf)).resolves.toBe('PROOF_REPLAYED');
});

test('a receipt for one statement opens no other one, and votes cannot be left out', async () => {
  const attempt = await mintAsExecutor(executor, await approved());
  const used = await consume(firebreak, executor, attempt);
  const statement = used.statement.replace(/"hash":"[0-9a-f]{64}"/, `"hash":"${'0'.repeat(64)}"`);
  expect(statement).not.toBe(used.statement);
  const other = trade(firebreak, executor, { ...attempt, used }, { statement });
  await expect(other.catch(codeOf)).resolves.toBe('DIGEST_MISMATCH');
  const unvoted = trade(firebreak, executor, { ...attempt, used }, { votes: [] });
  await expect(unvoted.catch(codeOf)).resolves.toBe('APPROVAL_MISSING');
});

test('the target does nothing for one MAC, or for an edited statement', async () => {
  const attempt = await mintAsExecutor(executor, await approved());
  const used = await consume(firebreak, executor, attempt);
  const half = { statement: used.statement, gateMac: used.gateMac, credentialsMac: used.gateMac };
  await expect(performOnTarget(half, targetUrl()).catch(codeOf)).resolves.toBe('MAC_INVALID');
  const { credentialsMac } = await trade(firebreak, executor, { ...attempt, used });
  const edited = {
    statement: used.statement.replace('"fence":1', '"fence":2'),
    gateMac: used.gateMac,
    credentialsMac,
  };
  await expect(performOnTarget(edited, targetUrl()).catch(codeOf)).resolves.toBe('MAC_INVALID');
  expect(await firebreak.target.effects(asked.requestId)).toMatchObject({ count: 0 });
});

test('rows that changed after the approval are not deleted', async () => {
  const requestId = await approved();
  await firebreak.shop.query('update newsletter_subscriptions set email = $2 where id = $1', [
    asked.row,
    'changed@example.com',
  ]);
  await expect(mintAsExecutor(executor, requestId).catch(codeOf)).resolves.toBe('PLAN_CHANGED');
  expect(await firebreak.isThere(asked)).toBe(true);
});

test('input that was edited in the database after the approval is refused', async () => {
  const requestId = await approved();
  const attempt = await mintAsExecutor(executor, requestId);
  await firebreak.own.query(`update firebreak.request set content = replace(content, $2, $3) where id = $1`, [
    requestId,
    `"value":${asked.row}`,
    `"value":${asked.row + 1_000}`,
  ]);
  await expect(consume(firebreak, executor, attempt).catch(codeOf)).resolves.toBe('DIGEST_MISMATCH');
  await expect(mintAsExecutor(executor, requestId).catch(codeOf)).resolves.toBe('DIGEST_MISMATCH');
  // With its digest edited too, it is not what the context was issued for.
  await firebreak.own.query(
    `update firebreak.request set request_digest = rtrim(translate(encode(sha256(convert_to(content, 'UTF8')),
       'base64'), '+/', '-_'), '=') where id = $1`,
    [requestId],
  );
  await expect(consume(firebreak, executor, attempt).catch(codeOf)).resolves.toBe('DIGEST_MISMATCH');
});

test('a plan that was edited in the database is refused', async () => {
  const attempt = await mintAsExecutor(executor, await approved());
  await firebreak.own.query(
    `update firebreak.plan set body = replace(body, '"kept"', '"none"') where request_id = $1`,
    [asked.requestId],
  );
  await expect(consume(firebreak, executor, attempt).catch(codeOf)).resolves.toBe('DIGEST_MISMATCH');
});

test('the context of another request, or none, mints nothing', async () => {
  const requestId = await approved();
  const other = await firebreak.submit();
  const { rows } = await firebreak.own.query<{ context_envelope: string }>(
    'select context_envelope from firebreak.request where id = $1',
    [other.requestId],
  );
  const spliced = mintAsExecutor(executor, requestId, { context: rows[0]?.context_envelope ?? '' });
  await expect(spliced.catch(codeOf)).resolves.toBe('CONTEXT_MISMATCH');
  const stripped = mintAsExecutor(executor, requestId, { context: 'nothing' });
  await expect(stripped.catch(codeOf)).resolves.toBe('CONTEXT_MISSING');
});

test('nothing is consumed after an acknowledged revocation', async () => {
  const attempt = await mintAsExecutor(executor, await approved());
  const broker = await capture(firebreak, 'broker');
  const writeEntry = createEntryWriter(await broker.signer('entry'), () => Date.now());
  const { sessionId } = firebreak.held.session;
  const entry = await writeEntry({ kind: 'session-revoked', session: sessionId });
  await broker.database.run('select firebreak.revoke_session($1, $2)', [sessionId, entry]);
  await broker.close();
  await expect(consume(firebreak, executor, attempt).catch(codeOf)).resolves.toBe('SESSION_REVOKED');
  await expect(mintAsExecutor(executor, asked.requestId).catch(codeOf)).resolves.toBe('SESSION_REVOKED');
});
