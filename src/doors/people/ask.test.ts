import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { type PeopleDoorFixture, startPeopleDoor } from '../../../test/fixtures/people-door.ts';
import { type Filing, policyDigest } from '../../../test/fixtures/people-requests.ts';
import { digestOf, requestDigestOf } from '../../action/request.ts';
import { sha256Base64url } from '../../canonical.ts';
import { verify } from '../../identity/verify.ts';
import { codeOf } from '../../refusal.ts';
import { ask } from './ask.ts';

let fixture: PeopleDoorFixture;
beforeAll(async () => {
  fixture = await startPeopleDoor();
});
afterAll(async () => await fixture.stop());

const codeFor = async (work: Promise<unknown>) =>
  await work.then(
    () => 'asked',
    (error: unknown) => codeOf(error),
  );

const codeOfAsk = async (filing: Filing) => await codeFor(fixture.ask(filing));

const rowsOf = async (table: string, requestId: string) =>
  await fixture.query(`select * from firebreak.${table} where request_id = $1`, [requestId]);

const cardsOf = async (requestId: string) =>
  (await fixture.slack.messages()).filter(({ text }) => text.includes(requestId));

test('people are asked once for one digest, however often the workflow says so', async () => {
  const filed = await fixture.requests.file();
  const replies = await Promise.all([1, 2, 3].map(async () => await ask(fixture.door, filed)));
  const card = await fixture.slack.card(filed.requestId);
  replies.push(await ask(fixture.door, filed));
  expect(new Set(replies.map((reply) => JSON.stringify(reply))).size).toBe(1);
  expect(await rowsOf('ask', filed.requestId)).toHaveLength(1);
  expect(await cardsOf(filed.requestId)).toHaveLength(1);
  const [, planHash] = [
    0,
    z.object({ plan_hash: z.string() }).parse((await rowsOf('ask', filed.requestId))[0]),
  ];
  expect(replies[0]?.digest).toBe(digestOf(filed.content, planHash.plan_hash));
  expect(card.buttons).toEqual(['Approve', 'Deny']);
});

test('the ledger holds what was asked, of whom and by which policy', async () => {
  const filed = await fixture.ask();
  const text = "select jws from firebreak.entry where request_id = $1 and kind = 'asked'";
  const entries = z.array(z.object({ jws: z.string() })).parse(await fixture.query(text, [filed.requestId]));
  expect(entries).toHaveLength(1);
  const trust = { keys: fixture.database.keys, nowS: Math.floor(Date.now() / 1_000) };
  expect(await verify('entry', entries[0]?.jws ?? '', trust)).toMatchObject({
    iss: 'people',
    requestId: filed.requestId,
    requestDigest: requestDigestOf(filed.content),
    digest: filed.digest,
    effectClass: 'reversible',
    quorum: 1,
    groups: ['operators'],
    policyDigest,
    rules: ['cleanup-by-operators'],
  });
});

test('a changed plan asks anew, and an unchanged one does not', async () => {
  const filed = await fixture.ask();
  await fixture.requests.plan(filed);
  expect((await ask(fixture.door, filed)).digest).toBe(filed.digest);
  await fixture.requests.plan(filed, { plan: { counts: { rows: 121 } } });
  expect((await ask(fixture.door, filed)).digest).not.toBe(filed.digest);
  expect(await rowsOf('ask', filed.requestId)).toHaveLength(2);
});

test.each(['test.things.drop', 'test.things.export', 'test.things.grant'])(
  '%s needs a vote that a click is not, so nobody is asked',
  async (action) => {
    const filed = await fixture.requests.file({ action });
    expect(await codeFor(ask(fixture.door, filed))).toBe('STEP_UP_UNAVAILABLE');
    expect(await rowsOf('ask', filed.requestId)).toEqual([]);
    expect(await codeOfAsk({ action: 'test.things.delete' })).toBe('asked');
  },
);

test('the class is what the signed manifest says, whatever stands in the row', async () => {
  const filed = await fixture.requests.file({ action: 'test.things.drop' });
  await fixture.query("update firebreak.request set effect_class = 'reversible' where id = $1", [
    filed.requestId,
  ]);
  expect(await codeFor(ask(fixture.door, filed))).toBe('STEP_UP_UNAVAILABLE');
});

test('no policy lowers the floor, and what could do more needs one vote more', async () => {
  const obligations = { quorum: 0, groups: ['operators'] };
  const floored = await fixture.ask({ decision: { obligations } });
  expect(await rowsOf('ask', floored.requestId)).toMatchObject([{ quorum: 1 }]);
  const overshooting = await fixture.ask({ action: 'test.things.copy', decision: { obligations } });
  expect(await rowsOf('ask', overshooting.requestId)).toMatchObject([{ quorum: 2 }]);
  expect((await fixture.slack.card(overshooting.requestId)).text).toContain(
    'Could also: read every other thing',
  );
  const firing = await fixture.ask({ plan: { overshoot: ['fire a trigger'] }, decision: { obligations } });
  expect(await rowsOf('ask', firing.requestId)).toMatchObject([{ quorum: 2 }]);
  expect((await fixture.slack.card(firing.requestId)).text).toContain('Could also: fire a trigger');
});

test('a quorum that nobody can reach is said at once', async () => {
  const needing = (quorum: number, groups: string[]) => ({ decision: { obligations: { quorum, groups } } });
  // Three operators, one of whom owns the agent.
  expect(await codeOfAsk(needing(2, ['operators']))).toBe('asked');
  expect(await codeOfAsk(needing(3, ['operators']))).toBe('QUORUM_UNREACHABLE');
  expect(await codeOfAsk(needing(3, ['operators', 'security']))).toBe('asked');
  expect(await codeOfAsk(needing(1, []))).toBe('QUORUM_UNREACHABLE');
  expect(await codeOfAsk(needing(1, ['nobody']))).toBe('QUORUM_UNREACHABLE');
});

test('whom nobody answers for, nobody can approve', async () => {
  expect(await codeOfAsk({ agent: 'stray' })).toBe('QUORUM_UNREACHABLE');
  expect(await codeOfAsk({ act: { sub: 'agent:stray' } })).toBe('QUORUM_UNREACHABLE');
  expect(await codeOfAsk({ act: { sub: 'agent:reporter' } })).toBe('asked');
});

test('only the broker’s own word that people may decide lets them be asked', async () => {
  expect(await codeOfAsk({ decided: false })).toBe('POLICY_DENIED');
  expect(await codeOfAsk({ decision: { decision: 'deny' } })).toBe('POLICY_DENIED');
  expect(await codeOfAsk({ decision: { decision: 'allow' } })).toBe('POLICY_DENIED');
  expect(await codeOfAsk({ decision: { planHash: sha256Base64url('another plan') } })).toBe(
    'DIGEST_MISMATCH',
  );
  expect(await codeOfAsk({ planned: false })).toBe('PLAN_STALE');
  expect(await codeOfAsk({})).toBe('asked');
});

/** Each change is one that a captured database could make; the signed objects do not follow. */
test.each([
  [
    'the stored request',
    "update firebreak.request set content = replace(content, 'orders', 'others') where id = $1",
  ],
  ['the request digest', "update firebreak.request set request_digest = repeat('A', 43) where id = $1"],
  ['the stored plan', `update firebreak.plan set body = replace(body, '120', '121') where request_id = $1`],
  ['the plan hash', "update firebreak.plan set plan_hash = repeat('A', 43) where request_id = $1"],
  [
    'the plan statement',
    `update firebreak.plan set statement = (select statement from firebreak.plan where request_id <> $1 limit 1)
     where request_id = $1`,
  ],
  [
    'the decision',
    `update firebreak.decision set statement =
       (select statement from firebreak.decision where request_id <> $1 limit 1) where request_id = $1`,
  ],
])('a row that differs from what was signed is not asked about: %s', async (_what, change) => {
  await fixture.requests.file();
  const filed = await fixture.requests.file();
  await fixture.query(change, [filed.requestId]);
  expect(await codeFor(ask(fixture.door, filed))).toBe('DIGEST_MISMATCH');
  expect(await rowsOf('ask', filed.requestId)).toEqual([]);
});

test('another domain’s signature is no plan and no decision', async () => {
  const filed = await fixture.requests.file();
  const swap = `update firebreak.decision set statement =
    (select statement from firebreak.plan where request_id = $1 limit 1) where request_id = $1`;
  await fixture.query(swap, [filed.requestId]);
  expect(await codeFor(ask(fixture.door, filed))).toBe('INVALID_TOKEN');
});

test('a request that has ended, or in another revision, is not asked about', async () => {
  const filed = await fixture.requests.file();
  expect(await codeFor(ask(fixture.door, { ...filed, revision: 2 }))).toBe('UNKNOWN_REQUEST');
  expect(await codeFor(ask(fixture.door, { requestId: 'req_unknown', revision: 1 }))).toBe('UNKNOWN_REQUEST');
  await fixture.requests.end(filed.requestId, 'cancelled');
  expect(await codeFor(ask(fixture.door, filed))).toBe('REQUEST_CLOSED');
});

test('an ask never outlives its request', async () => {
  const short = await fixture.requests.file({ expiresInMs: 60_000 });
  const { expiresAt } = await ask(fixture.door, short);
  expect(Date.parse(expiresAt)).toBeLessThanOrEqual(Date.now() + 60_000);
  const long = await fixture.requests.file({ expiresInMs: 7_000_000 });
  expect(Date.parse((await ask(fixture.door, long)).expiresAt)).toBeLessThanOrEqual(Date.now() + 3_600_000);
});
