import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { type PeopleDoorFixture, startPeopleDoor } from '../../../test/fixtures/people-door.ts';
import { CHANNEL } from '../../../test/fixtures/people-settings.ts';
import { type Card, until } from '../../../test/fixtures/slack-user.ts';
import { sha256Base64url } from '../../canonical.ts';
import { verify } from '../../identity/verify.ts';
import { ask } from './ask.ts';

let fixture: PeopleDoorFixture;
beforeAll(async () => {
  fixture = await startPeopleDoor();
});
afterAll(async () => await fixture.stop());
beforeEach(() => {
  fixture.time.aheadMs = 0;
});

const votesSchema = z.array(z.object({ voter: z.string(), choice: z.string(), statement: z.string() }));

async function votesOn(requestId: string) {
  const text = 'select voter, choice, statement from firebreak.vote where request_id = $1 order by id';
  return votesSchema.parse(await fixture.query(text, [requestId]));
}

const counted = (votes: Awaited<ReturnType<typeof votesOn>>) =>
  votes.map(({ voter, choice }) => `${voter} ${choice}`);

const entrySchema = z.array(z.object({ jws: z.string() }));

/** Codes of the refused votes that the ledger holds of a request. */
async function refusedIn(requestId: string): Promise<string[]> {
  const text = `select jws from firebreak.entry where request_id = $1 and kind = 'vote-refused' order by recorded_at`;
  const entries = entrySchema.parse(await fixture.query(text, [requestId]));
  const nowS = Math.floor(fixture.door.clock() / 1_000);
  const claims = entries.map(
    async ({ jws }) => await verify('entry', jws, { keys: fixture.database.keys, nowS }),
  );
  return (await Promise.all(claims)).map(({ voter, code }) => `${voter} ${code}`);
}

const entriesOf = async (requestId: string, kind: string) =>
  await fixture.query('select jws from firebreak.entry where request_id = $1 and kind = $2', [
    requestId,
    kind,
  ]);

async function askedCard(filing = {}): Promise<Card & { digest: string }> {
  const { requestId, digest } = await fixture.ask(filing);
  return { ...(await fixture.slack.card(requestId)), digest };
}

test('an approval is one signed row with one entry and one ring, before Slack hears of the click', async () => {
  const card = await askedCard();
  expect(await fixture.slack.click('mia', card, 'approve')).toMatchObject({ ok: true, late: false });
  const votes = await votesOn(card.requestId);
  expect(counted(votes)).toEqual(['mia approve']);
  const nowS = Math.floor(Date.now() / 1_000);
  const claims = await verify('vote', votes[0]?.statement ?? '', { keys: fixture.database.keys, nowS });
  expect(claims).toMatchObject({
    iss: 'people',
    requestId: card.requestId,
    digest: card.digest,
    voter: 'mia',
    vote: 'approve',
    via: 'slack',
    surface: { team: 'T1', user: 'U2', channel: CHANNEL, message: card.ts },
  });
  expect(await entriesOf(card.requestId, 'voted')).toHaveLength(1);
  const rings =
    "select 1 from firebreak.outbox where domain = 'people' and kind = 'look' and request_id = $1";
  expect(await fixture.query(rings, [card.requestId])).toHaveLength(1);
  await fixture.slack.cardSaying(card.requestId, '✅ Approved by mia miason');
});

test('who clicks twice hears that the first click counted', async () => {
  const card = await askedCard({ decision: { obligations: { quorum: 2, groups: ['operators'] } } });
  // Two clicks at the very same time are two rows tried and one row kept.
  const clicks = [1, 2, 3].map(async () => await fixture.slack.click('mia', card, 'approve'));
  expect(await Promise.all(clicks)).toMatchObject([{ ok: true }, { ok: true }, { ok: true }]);
  expect(counted(await votesOn(card.requestId))).toEqual(['mia approve']);
  expect(await entriesOf(card.requestId, 'voted')).toHaveLength(1);
  await fixture.slack.told('mia', 'ALREADY_VOTED');
  expect(await refusedIn(card.requestId)).toEqual(['mia ALREADY_VOTED', 'mia ALREADY_VOTED']);
  await fixture.slack.click('paul', card, 'approve');
  expect(counted(await votesOn(card.requestId))).toEqual(['mia approve', 'paul approve']);
});

test('the owner of the agent does not approve what it asks, and the ledger says who tried', async () => {
  const card = await askedCard();
  await fixture.slack.click('olga', card, 'approve');
  await fixture.slack.told('olga', 'SELF_APPROVAL');
  expect(await votesOn(card.requestId)).toEqual([]);
  expect(await refusedIn(card.requestId)).toEqual(['olga SELF_APPROVAL']);
  // The same person about another one's agent, and the same request by another person.
  const other = await askedCard({ agent: 'reporter' });
  await fixture.slack.click('olga', other, 'approve');
  expect(counted(await votesOn(other.requestId))).toEqual(['olga approve']);
  await fixture.slack.click('mia', card, 'approve');
  expect(counted(await votesOn(card.requestId))).toEqual(['mia approve']);
});

test('a person for whom the agent works, or who acts, does not approve either', async () => {
  const card = await askedCard({ sub: 'mia', act: { sub: 'agent:cleaner' } });
  await fixture.slack.click('mia', card, 'approve');
  await fixture.slack.told('mia', 'SELF_APPROVAL');
  expect(await votesOn(card.requestId)).toEqual([]);
  await fixture.slack.click('paul', card, 'approve');
  expect(counted(await votesOn(card.requestId))).toEqual(['paul approve']);
});

test('who is in no asked group is not entitled', async () => {
  const card = await askedCard();
  await fixture.slack.click('sam', card, 'approve');
  await fixture.slack.told('sam', 'NOT_ENTITLED');
  expect(await votesOn(card.requestId)).toEqual([]);
  expect(await refusedIn(card.requestId)).toEqual(['sam NOT_ENTITLED']);
  const other = await askedCard({ decision: { obligations: { quorum: 1, groups: ['security'] } } });
  await fixture.slack.click('sam', other, 'approve');
  expect(counted(await votesOn(other.requestId))).toEqual(['sam approve']);
});

test('an account that leads to no person answers nothing, and is named in the ledger', async () => {
  const card = await askedCard();
  await fixture.slack.click('zoe', card, 'approve');
  await fixture.slack.told('zoe', 'UNKNOWN_PERSON');
  await fixture.slack.click('gus', card, 'approve');
  await fixture.slack.told('gus', 'UNKNOWN_PERSON');
  expect(await votesOn(card.requestId)).toEqual([]);
  expect(await refusedIn(card.requestId)).toEqual([
    'slack:T1/U8 UNKNOWN_PERSON',
    'slack:T1/U9 UNKNOWN_PERSON',
  ]);
});

test('another workspace cannot lend somebody’s user id', async () => {
  const card = await askedCard();
  const { slack } = fixture;
  await slack.interact(slack.payload('mia', card, { user: { id: 'U2', team_id: 'T9' } }));
  await slack.interact(slack.payload('mia', card, { team: { id: 'T9' }, user: { id: 'U2', team_id: 'T9' } }));
  await slack.interact(slack.payload('mia', card, { team: { id: 'T9' } }));
  expect(await votesOn(card.requestId)).toEqual([]);
  await slack.interact(slack.payload('mia', card));
  expect(counted(await votesOn(card.requestId))).toEqual(['mia approve']);
});

test('a person’s account counts in our own workspace alone', async () => {
  const card = await askedCard();
  await fixture.slack.interact(fixture.slack.payload('rob', card, { team: { id: 'T9' } }));
  await fixture.slack.interact(fixture.slack.payload('rob', card));
  await fixture.slack.told('rob', 'UNKNOWN_PERSON');
  expect(await refusedIn(card.requestId)).toEqual([
    'slack:T9/U7 UNKNOWN_PERSON',
    'slack:T1/U7 UNKNOWN_PERSON',
  ]);
});

test('only the card that was posted for this ask can be answered', async () => {
  const [card, other] = [await askedCard(), await askedCard()];
  const { slack } = fixture;
  const valued = (value: string) => ({
    actions: [{ type: 'button', action_id: 'firebreak_approve', value }],
  });
  const [askId, digest] = card.value.split('.');
  const forged = [
    { message: { ts: other.ts } },
    { channel: { id: 'C2' } },
    valued(other.value),
    valued(`${askId}.${other.digest}`),
    valued(`${other.value.split('.')[0]}.${digest}`),
    valued(`999999.${digest}`),
    valued(`${askId} or 1=1.${digest}`),
    valued(''),
  ];
  for (const changes of forged) await slack.interact(slack.payload('mia', card, changes));
  await slack.told('mia', 'VOTE_STALE');
  expect(await votesOn(card.requestId)).toEqual([]);
  expect(await votesOn(other.requestId)).toEqual([]);
  await slack.interact(slack.payload('mia', card));
  expect(counted(await votesOn(card.requestId))).toEqual(['mia approve']);
});

test('a card that a newer one has replaced takes no answer', async () => {
  const filed = await fixture.ask();
  const old = await fixture.slack.card(filed.requestId);
  await fixture.requests.plan(filed, { plan: { counts: { rows: 121 } } });
  const { digest } = await ask(fixture.door, filed);
  expect(digest).not.toBe(filed.digest);
  await fixture.slack.interact(fixture.slack.payload('mia', old));
  await fixture.slack.told('mia', 'VOTE_STALE');
  expect(await votesOn(filed.requestId)).toEqual([]);
  expect(await refusedIn(filed.requestId)).toEqual(['mia VOTE_STALE']);
  await fixture.slack.click('mia', await fixture.slack.card(filed.requestId), 'approve');
  expect(counted(await votesOn(filed.requestId))).toEqual(['mia approve']);
});

test('a plan that came back is asked again, on a card that takes answers', async () => {
  const filed = await fixture.ask();
  const first = await fixture.slack.card(filed.requestId);
  await fixture.requests.plan(filed, { plan: { counts: { rows: 121 } } });
  await ask(fixture.door, filed);
  await fixture.requests.plan(filed);
  expect((await ask(fixture.door, filed)).digest).toBe(filed.digest);
  // The very same again changes nothing.
  expect((await ask(fixture.door, filed)).digest).toBe(filed.digest);
  const asks = await fixture.query('select from firebreak.ask where request_id = $1', [filed.requestId]);
  expect(asks).toHaveLength(3);
  const newest = await until(async () => {
    const card = await fixture.slack.card(filed.requestId);
    return card.ts === first.ts ? undefined : card;
  });
  await fixture.slack.click('mia', newest, 'approve');
  expect(counted(await votesOn(filed.requestId))).toEqual(['mia approve']);
});

test('a card of an older policy takes no answer, though it asks the very same', async () => {
  const filed = await fixture.ask();
  const old = await fixture.slack.card(filed.requestId);
  await fixture.requests.plan(filed, { decision: { policyDigest: sha256Base64url('newer policies') } });
  expect((await ask(fixture.door, filed)).digest).toBe(filed.digest);
  await fixture.slack.interact(fixture.slack.payload('mia', old));
  expect(await votesOn(filed.requestId)).toEqual([]);
  expect(await refusedIn(filed.requestId)).toEqual(['mia VOTE_STALE']);
});

test('after its time an ask takes no answer', async () => {
  const [late, early] = [await askedCard(), await askedCard()];
  fixture.time.aheadMs = 59 * 60_000;
  await fixture.slack.click('mia', early, 'approve');
  expect(counted(await votesOn(early.requestId))).toEqual(['mia approve']);
  fixture.time.aheadMs = 61 * 60_000;
  await fixture.slack.interact(fixture.slack.payload('mia', late));
  await fixture.slack.told('mia', 'APPROVAL_EXPIRED');
  expect(await votesOn(late.requestId)).toEqual([]);
  expect(await refusedIn(late.requestId)).toEqual(['mia APPROVAL_EXPIRED']);
});

test.each(['cancelled', 'denied', 'expired', 'failed', 'indeterminate', 'performing'])(
  'a request that is %s takes no answer',
  async (state) => {
    const card = await askedCard();
    await fixture.requests.end(card.requestId, state);
    await fixture.slack.interact(fixture.slack.payload('mia', card));
    await fixture.slack.told('mia', 'REQUEST_CLOSED');
    expect(await votesOn(card.requestId)).toEqual([]);
    expect(await refusedIn(card.requestId)).toEqual(['mia REQUEST_CLOSED']);
    const deny = { type: 'button', action_id: 'firebreak_deny', value: card.value };
    const before = fixture.calls.length;
    await fixture.slack.interact(fixture.slack.payload('mia', card, { actions: [deny] }));
    expect(await refusedIn(card.requestId)).toEqual(['mia REQUEST_CLOSED', 'mia REQUEST_CLOSED']);
    expect(fixture.calls.slice(before).map(({ method }) => method)).not.toContain('views.open');
  },
);

test('a vote that waited while its request ended is not kept', async () => {
  const card = await askedCard();
  // Every ending takes this lock, and so does a vote: here the end is first and the vote has read before it.
  await fixture.query('begin');
  await fixture.query('select pg_advisory_xact_lock(1179795019)');
  const clicked = fixture.slack.interact(fixture.slack.payload('mia', card));
  await until(async () => {
    const waiting = "select 1 from pg_locks where locktype = 'advisory' and not granted";
    return (await fixture.query(waiting)).length > 0 ? true : undefined;
  });
  const end = "update firebreak.request set state = 'cancelled', state_at = clock_timestamp() where id = $1";
  await fixture.query(end, [card.requestId]);
  await fixture.query('commit');
  await clicked;
  await fixture.slack.told('mia', 'REQUEST_CLOSED');
  expect(await votesOn(card.requestId)).toEqual([]);
  expect(await entriesOf(card.requestId, 'voted')).toEqual([]);
  expect(await refusedIn(card.requestId)).toEqual(['mia REQUEST_CLOSED']);
});

test('a no is asked for its reason, and reaches the vote with it', async () => {
  const card = await askedCard();
  const { slack } = fixture;
  await slack.click('mia', card, 'deny');
  expect(await votesOn(card.requestId)).toEqual([]);
  const view = await slack.window('mia');
  expect(await slack.window('paul')).toBeUndefined();
  await slack.submit('mia', view?.id ?? '', { preset: 'scope', words: ' only <stale> rows & no others ' });
  const votes = await votesOn(card.requestId);
  expect(counted(votes)).toEqual(['mia deny']);
  const nowS = Math.floor(Date.now() / 1_000);
  const claims = await verify('vote', votes[0]?.statement ?? '', { keys: fixture.database.keys, nowS });
  expect(claims.reason).toBe('more than is needed: only <stale> rows & no others');
  const denied = await slack.cardSaying(card.requestId, '❌ Denied by mia miason');
  expect(denied.text).toContain('only &lt;stale&gt; rows &amp; no others');
  expect(denied.buttons).toEqual([]);
});

test('who may not say no is told so before a window opens; whoever answers for the agent may', async () => {
  const card = await askedCard();
  await fixture.slack.click('sam', card, 'deny');
  await fixture.slack.told('sam', 'NOT_ENTITLED');
  expect(await fixture.slack.window('sam')).toBeUndefined();
  await fixture.slack.click('olga', card, 'deny');
  await fixture.slack.submit('olga', (await fixture.slack.window('olga'))?.id ?? '', { preset: 'wrong' });
  expect(counted(await votesOn(card.requestId))).toEqual(['olga deny']);
});

test('where no window opens, a no without a reason is still a no', async () => {
  const card = await askedCard();
  await fixture.slack.fault({ method: 'views.open', kind: 'down' });
  await fixture.slack.click('mia', card, 'deny');
  expect(counted(await votesOn(card.requestId))).toEqual(['mia deny']);
  await fixture.slack.cardSaying(card.requestId, '❌ Denied by mia miason');
});

test('an approval of what its card did not show does not count', async () => {
  const input = { table: 'orders', where: 'x'.repeat(4_000) };
  const card = await askedCard({ input });
  expect(card.buttons).toEqual(['Deny']);
  await fixture.slack.interact(fixture.slack.payload('mia', card));
  await fixture.slack.told('mia', 'STEP_UP_UNAVAILABLE');
  expect(await votesOn(card.requestId)).toEqual([]);
  expect(await refusedIn(card.requestId)).toEqual(['mia STEP_UP_UNAVAILABLE']);
  await fixture.slack.click('mia', card, 'deny');
  await fixture.slack.submit('mia', (await fixture.slack.window('mia'))?.id ?? '', { preset: 'unclear' });
  expect(counted(await votesOn(card.requestId))).toEqual(['mia deny']);
});

test('a yes may be followed by a no of the same person, and a no by nothing', async () => {
  const card = await askedCard();
  const { slack } = fixture;
  await slack.click('mia', card, 'approve');
  await slack.click('mia', card, 'deny');
  const view = await until(async () => await slack.window('mia'));
  await slack.submit('mia', view.id, { preset: 'other' });
  expect(counted(await votesOn(card.requestId))).toEqual(['mia approve', 'mia deny']);
  await slack.interact(slack.payload('mia', card));
  await slack.told('mia', 'ALREADY_VOTED');
  expect(counted(await votesOn(card.requestId))).toEqual(['mia approve', 'mia deny']);
});
