import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Captured, capture, consume, mintAsExecutor } from '../../src/dev/captured.ts';
import { buttonsOf, type SlackCard } from '../../src/dev/slack-person.ts';
import { codeOf } from '../../src/refusal.ts';
import { type Asked, type Firebreak, startFirebreak } from '../fixtures/firebreak.ts';

/** One real minute for approval, and what it is worth afterwards: to a person, to the agent, to an attacker. */
const EXPIRED_WITHIN_MS = 75_000;

let firebreak: Firebreak;
let executor: Captured;
/** Nobody votes on this one. */
let ignored: Asked;
let card: SlackCard;
/** Alice approves this one, and nobody performs it in time. */
let approved: Asked;
let attempt: Awaited<ReturnType<typeof mintAsExecutor>>;
beforeAll(async () => {
  firebreak = await startFirebreak({ approvalMinutes: 1 });
  await firebreak.dev.kill('executor', 'SIGKILL');
  executor = await capture(firebreak, 'executor');
});
afterAll(async () => {
  await executor.close();
  await firebreak.stop();
});

test('before the minute is over, an approval is worth a capability', async () => {
  ignored = await firebreak.submit();
  approved = await firebreak.submit();
  card = await firebreak.slack.findCard(ignored.requestId);
  await firebreak.click(approved, 'alice');
  await expect.poll(async () => await kinds(approved), { timeout: 10_000 }).toContain('voted');
  attempt = await mintAsExecutor(executor, approved.requestId);
  expect(attempt.capability).not.toBe('');
});

test('a minute without a vote ends the request as expired, and nothing happened', async () => {
  // Slack hears late that it is over, so that the buttons are still there.
  await updatesAre('down');
  expect(await firebreak.ended(ignored, EXPIRED_WITHIN_MS)).toMatchObject({
    state: 'expired',
    detail: { code: 'APPROVAL_EXPIRED' },
  });
  const entries = await firebreak.entries(ignored.requestId);
  expect(entries.at(-1)).toMatchObject({ kind: 'ended', outcome: 'expired' });
  expect(await firebreak.isThere(ignored)).toBe(true);
});

test('a late click is refused, and counts for nothing', async () => {
  await firebreak.slack.click('U0BOB', card, 'Approve');
  await expect.poll(async () => await kinds(ignored), { timeout: 10_000 }).toContain('vote-refused');
  const refused = (await firebreak.entries(ignored.requestId)).find(({ kind }) => kind === 'vote-refused');
  expect(['APPROVAL_EXPIRED', 'REQUEST_CLOSED']).toContain(refused?.['code']);
  expect(await kinds(ignored)).not.toContain('voted');
  expect(await firebreak.client.show(ignored.requestId)).toMatchObject({ state: 'expired' });
});

test('the card says so, and has no live buttons', async () => {
  await updatesAre('healed');
  const now = async () => (await firebreak.slack.messages()).find(({ ts }) => ts === card.ts);
  await expect
    .poll(async () => JSON.stringify(await now()), { timeout: 40_000 })
    .toContain('Expired: nobody decided in time');
  expect(buttonsOf((await now()) ?? card)).toEqual([]);
});

test('an approval that nobody used in time ends as expired too', async () => {
  expect(await firebreak.ended(approved, EXPIRED_WITHIN_MS)).toMatchObject({ state: 'expired' });
  expect(await firebreak.isThere(approved)).toBe(true);
});

test('a captured executor gets no capability after the expiry, and nothing for an older one', async () => {
  const minted = mintAsExecutor(executor, approved.requestId);
  expect(['APPROVAL_EXPIRED', 'REQUEST_CLOSED']).toContain(await minted.catch(codeOf));
  const other = mintAsExecutor(executor, ignored.requestId);
  expect(['APPROVAL_EXPIRED', 'REQUEST_CLOSED', 'APPROVAL_MISSING']).toContain(await other.catch(codeOf));
  const consumed = consume(firebreak, executor, attempt);
  expect(['CAPABILITY_EXPIRED', 'APPROVAL_EXPIRED']).toContain(await consumed.catch(codeOf));
  expect(await firebreak.target.effects(approved.requestId)).toMatchObject({ count: 0 });
});

test('the ledger of all this verifies', async () => {
  expect(await firebreak.verify()).toMatchObject({ kind: 'holds' });
});

async function kinds({ requestId }: Asked): Promise<string[]> {
  return (await firebreak.entries(requestId)).map(({ kind }) => kind);
}

async function updatesAre(state: 'down' | 'healed'): Promise<void> {
  const faults = state === 'down' ? [{ method: 'chat.update', kind: 'down', times: 10_000 }] : [];
  await fetch(`${firebreak.dev.slack().page}/control`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ faults }),
  });
}
