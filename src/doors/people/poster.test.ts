import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { type PeopleDoorFixture, startPeopleDoor } from '../../../test/fixtures/people-door.ts';
import { until } from '../../../test/fixtures/slack-user.ts';
import { ask } from './ask.ts';

let fixture: PeopleDoorFixture;
beforeAll(async () => {
  fixture = await startPeopleDoor();
});
afterAll(async () => await fixture.stop());
beforeEach(async () => {
  fixture.time.aheadMs = 0;
  await fixture.slack.fault();
});

const cardsOf = async (requestId: string) =>
  (await fixture.slack.messages()).filter(
    ({ text, thread_ts }) => text.includes(requestId) && thread_ts === undefined,
  );

const callsOf = (method: string) => fixture.calls.filter((call) => call.method === method);

/** The poster has nothing left to do for a request. */
async function settled(requestId: string): Promise<void> {
  await until(async () => {
    const rows = await fixture.query(
      `select n.shown from firebreak.notice n join firebreak.ask a on a.id = n.ask_id where a.request_id = $1`,
      [requestId],
    );
    const shown = z.array(z.object({ shown: z.string().nullable() })).parse(rows);
    return shown.every((row) => row.shown?.endsWith(' final') === true) ? true : undefined;
  });
}

test('a card whose answer was lost is found again by its mark, and stands there once', async () => {
  await fixture.slack.fault({ method: 'chat.postMessage', kind: 'lost' });
  const { requestId } = await fixture.ask();
  const card = await fixture.slack.card(requestId);
  expect(await cardsOf(requestId)).toHaveLength(1);
  await fixture.slack.click('mia', card, 'approve');
  await fixture.slack.cardSaying(requestId, '✅ Approved by mia miason');
  expect(await cardsOf(requestId)).toHaveLength(1);
});

test('a lost answer is not forgotten because looking for the card was limited', async () => {
  await fixture.slack.fault(
    { method: 'chat.postMessage', kind: 'lost' },
    { method: 'conversations.history', kind: 'limited', retryAfterS: 1, times: 2 },
  );
  const { requestId } = await fixture.ask();
  await fixture.slack.card(requestId);
  expect(await cardsOf(requestId)).toHaveLength(1);
});

test('a card that was posted before a crash is found by the next process', async () => {
  await fixture.slack.fault({ method: 'chat.postMessage', kind: 'lost' });
  const { requestId } = await fixture.ask();
  await until(async () => ((await cardsOf(requestId)).length === 1 ? true : undefined));
  await fixture.restartPoster();
  await fixture.slack.card(requestId);
  expect(await cardsOf(requestId)).toHaveLength(1);
});

test('a limited channel waits as long as Slack says, and no call is made meanwhile', async () => {
  await fixture.slack.fault({ method: 'chat.postMessage', kind: 'limited', retryAfterS: 3 });
  const before = callsOf('chat.postMessage').length;
  const { requestId } = await fixture.ask();
  await fixture.slack.card(requestId);
  const [first, second, ...more] = callsOf('chat.postMessage').slice(before);
  expect(more).toEqual([]);
  expect((second?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThanOrEqual(2_990);
  expect(await cardsOf(requestId)).toHaveLength(1);
});

test('while Slack is away requests go on, and the card comes when it is back', async () => {
  await fixture.slack.fault({ method: '*', kind: 'down', times: 1_000 });
  const { requestId } = await fixture.ask();
  await fixture.requests.end(requestId, 'cancelled');
  const other = await fixture.ask();
  expect(await cardsOf(other.requestId)).toEqual([]);
  await fixture.slack.fault();
  expect((await fixture.slack.card(other.requestId)).buttons).toEqual(['Approve', 'Deny']);
  expect((await fixture.slack.card(requestId)).buttons).toEqual([]);
});

test('votes are shown as they come, in the same message', async () => {
  const decision = { obligations: { quorum: 2, groups: ['operators'] } };
  const { requestId } = await fixture.ask({ decision });
  const waiting = await fixture.slack.cardSaying(requestId, 'Nobody has approved yet (0 of 2)');
  expect(waiting.text).toContain('Still asked: mia miason, paul paulson.');
  await fixture.slack.click('mia', waiting, 'approve');
  const half = await fixture.slack.cardSaying(requestId, 'Approved so far by mia miason (1 of 2)');
  expect(half).toMatchObject({ ts: waiting.ts, buttons: ['Approve', 'Deny'] });
  await fixture.slack.click('paul', half, 'approve');
  const approved = await fixture.slack.cardSaying(requestId, '✅ Approved by mia miason, paul paulson');
  expect(approved).toMatchObject({ ts: waiting.ts, buttons: [] });
  expect(await cardsOf(requestId)).toHaveLength(1);
});

test.each([
  ['cancelled', {}, '🚫 Cancelled. Nothing was changed.'],
  ['expired', {}, '⌛ Expired: nobody decided in time. Nothing was changed; this is not a denial.'],
  ['failed', { code: 'ROWS_CHANGED' }, '⚠ Failed: ROWS_CHANGED. The target did not do it.'],
  ['denied', { by: 'mia', reason: 'not now' }, '❌ Denied: by mia miason, not now. Nothing was changed.'],
])('how a request ended stands on its card and in its thread, once: %s', async (state, detail, sentence) => {
  const { requestId } = await fixture.ask();
  const card = await fixture.slack.card(requestId);
  await fixture.requests.end(requestId, state, detail);
  const ended = await fixture.slack.cardSaying(requestId, sentence);
  expect(ended).toMatchObject({ ts: card.ts, buttons: [] });
  await settled(requestId);
  expect(await fixture.slack.thread(card.ts)).toEqual([sentence]);
});

test('an outcome whose answer was lost stands in the thread once', async () => {
  const { requestId } = await fixture.ask();
  const card = await fixture.slack.card(requestId);
  await fixture.slack.fault({ method: 'chat.postMessage', kind: 'lost' });
  await fixture.requests.end(requestId, 'cancelled');
  await settled(requestId);
  expect(await fixture.slack.thread(card.ts)).toHaveLength(1);
});

test('after its time a card has no live buttons, before anybody ends the request', async () => {
  const { requestId } = await fixture.ask();
  await fixture.slack.card(requestId);
  fixture.time.aheadMs = 61 * 60_000;
  const expired = await fixture.slack.cardSaying(requestId, '⌛ Expired');
  expect(expired.buttons).toEqual([]);
});

test('a replaced card says so and points to the newest, which alone has buttons', async () => {
  const filed = await fixture.ask();
  const old = await fixture.slack.card(filed.requestId);
  await fixture.requests.plan(filed, { plan: { counts: { rows: 121 } } });
  await ask(fixture.door, filed);
  const [replaced, newest] = await until(async () => {
    const messages = await cardsOf(filed.requestId);
    const gone = messages.find(({ ts, blocks }) => ts === old.ts && JSON.stringify(blocks).includes('🔁'));
    return messages.length === 2 && gone !== undefined ? messages : undefined;
  });
  expect(replaced?.blocks.map(({ type }) => type)).not.toContain('actions');
  expect(newest?.blocks.map(({ type }) => type)).toContain('actions');
});

test('a card that differs from the one that was recorded is not shown, and delays no other', async () => {
  await fixture.slack.fault({ method: '*', kind: 'down', times: 1_000 });
  const altered = await fixture.ask();
  const hash = "update firebreak.ask set card_hash = repeat('A', 43) where request_id = $1";
  await fixture.query(hash, [altered.requestId]);
  const { requestId } = await fixture.ask();
  await fixture.slack.fault();
  expect((await fixture.slack.card(requestId)).buttons).toEqual(['Approve', 'Deny']);
  expect(await cardsOf(altered.requestId)).toEqual([]);
});

test('a card that Slack refuses gets a smaller one, without Approve, and delays no other', async () => {
  await fixture.slack.fault({ method: 'chat.postMessage', kind: 'refused', error: 'msg_blocks_too_long' });
  const { requestId } = await fixture.ask();
  const other = await fixture.ask();
  const card = await fixture.slack.card(requestId);
  expect(card.buttons).toEqual(['Deny']);
  expect(card.text).toContain('It is not shown in part');
  expect((await fixture.slack.card(other.requestId)).buttons).toEqual(['Approve', 'Deny']);
});

test('a reason that grows too long for Slack when it is made visible still closes the card', async () => {
  const { requestId } = await fixture.ask();
  const card = await fixture.slack.card(requestId);
  await fixture.slack.click('mia', card, 'deny');
  const view = await fixture.slack.window('mia');
  await fixture.slack.submit('mia', view?.id ?? '', { preset: 'other', words: '\u200B'.repeat(430) + 'x' });
  const denied = await fixture.slack.cardSaying(requestId, '❌ Denied by mia miason');
  expect(denied.buttons).toEqual([]);
  await fixture.requests.end(requestId, 'denied', { by: 'mia', reason: '\u200B'.repeat(430) });
  await settled(requestId);
  expect(await fixture.slack.thread(card.ts)).toHaveLength(1);
});
