import { describe, expect, test } from 'vitest';
import { directory } from '../../test/fixtures/electorate.ts';
import type { RequestContent } from '../action/request.ts';
import { digestOf, requestDigestOf } from '../action/request.ts';
import type { Claims } from '../identity/claims.ts';
import type { RefusalCode } from '../refusal.ts';
import { type ConsumeFacts, type ConsumeMoment, consumeChecks, mayConsume, quorumOf } from './may-consume.ts';

const NOW_S = 1_790_000_000;
const NOW: ConsumeMoment = { gateMs: NOW_S * 1_000, databaseMs: NOW_S * 1_000 + 5 };
const JKT = 'k'.repeat(43);
const PLAN_HASH = 'p'.repeat(43);
const POLICY = 'y'.repeat(43);

const content: RequestContent = {
  requestId: 'req_1',
  revision: 1,
  session: 'ses_1',
  sub: 'agent:cleaner',
  act: null,
  action: 'postgres.rows.delete',
  schemaVersion: 1,
  input: { table: 'orders' },
  tenant: 'acme',
  environment: 'production',
  resource: 'shop/public.orders',
};
const DIGEST = digestOf(content, PLAN_HASH);

const plan: Claims<'plan'> = {
  iss: 'planner',
  iat: NOW_S - 1,
  jti: 'plan-1',
  requestId: 'req_1',
  revision: 1,
  requestDigest: requestDigestOf(content),
  planHash: PLAN_HASH,
  target: 'shop',
  counts: { rows: 3 },
};

function voteOf(voter: string, changes: Partial<Claims<'vote'>> = {}): Claims<'vote'> {
  return {
    iss: 'people',
    iat: NOW_S - 10,
    jti: `vote-${voter}`,
    requestId: 'req_1',
    revision: 1,
    vote: 'approve',
    digest: DIGEST,
    voter,
    policyDigest: POLICY,
    notAfter: NOW_S + 600,
    nonce: 'n',
    via: 'slack',
    surface: { team: 'T1', user: 'U1', channel: 'C1', message: '1' },
    ...changes,
  };
}

const detail = {
  type: 'firebreak_action' as const,
  actions: [content.action],
  identifier: content.resource,
  digest: DIGEST,
  schemaVersion: 1,
  requestId: 'req_1',
  revision: 1,
};

const good: ConsumeFacts = {
  capability: {
    iss: 'broker',
    iat: NOW_S - 1,
    nbf: NOW_S - 1,
    exp: NOW_S + 100,
    jti: 'cap-1',
    sid: 'ses_1',
    epoch: 0,
    sub: 'agent:cleaner',
    tenant: 'acme',
    environment: 'production',
    aud: 'shop',
    client_id: 'cleaner',
    txn: 'trace',
    cnf: { jkt: JKT },
    authorization_details: [detail],
    planHash: PLAN_HASH,
    policyDigest: POLICY,
    rules: ['rule'],
  },
  proofJkt: JKT,
  content,
  requestState: 'waiting',
  manifest: {
    iss: 'root',
    iat: 1,
    jti: 'a',
    name: content.action,
    schemaVersion: 1,
    title: 'Delete rows',
    effectClass: 'reversible',
    targetKind: 'postgres',
    overshoot: [],
    longestRunMs: 30_000,
  },
  session: {
    id: 'ses_1',
    agent: 'cleaner',
    sub: 'agent:cleaner',
    tenant: 'acme',
    environment: 'production',
    epoch: 0,
    expiresAtMs: (NOW_S + 3_600) * 1_000,
    revoked: false,
  },
  approvedPlan: { ...plan, iat: NOW_S - 60 },
  approvedBody: { version: 1, summary: [], counts: { rows: 3 }, undo: 'kept', overshoot: [], effects: null },
  approvedBodyHash: PLAN_HASH,
  freshPlan: plan,
  votes: [voteOf('mia')],
  policy: {
    decision: 'requestable',
    quorum: 1,
    groups: ['operators'],
    rules: ['rule'],
    reasons: ['because'],
    policyDigest: POLICY,
    code: null,
  },
  directory,
  consumedBefore: false,
  relayed: { lastHour: 0, perHourMax: 20 },
};

const { capability } = good;
const withDetail = (changes: object): Partial<ConsumeFacts> => ({
  capability: { ...capability, authorization_details: [{ ...detail, ...changes }] },
});
const OTHER = 'o'.repeat(43);

type Case = {
  says: string;
  check: string;
  code: RefusalCode;
  facts: Partial<ConsumeFacts>;
  now?: ConsumeMoment;
};

const cases: Case[] = [
  {
    says: 'another executor’s key',
    check: 'possession',
    code: 'WRONG_KEY',
    facts: { proofJkt: OTHER },
  },
  {
    says: 'a database clock that is ahead',
    check: 'clocks',
    code: 'CLOCKS_APART',
    facts: {},
    now: { gateMs: NOW.gateMs, databaseMs: NOW.gateMs + 2_001 },
  },
  {
    says: 'an expired capability',
    check: 'capability lifetime',
    code: 'CAPABILITY_EXPIRED',
    facts: { capability: { ...capability, exp: NOW_S } },
  },
  {
    says: 'edited input',
    check: 'digest',
    code: 'DIGEST_MISMATCH',
    facts: withDetail({ digest: OTHER }),
  },
  {
    says: 'a plan body that its hash does not cover',
    check: 'digest',
    code: 'DIGEST_MISMATCH',
    facts: { approvedBodyHash: OTHER },
  },
  {
    says: 'another target',
    check: 'authorization details',
    code: 'CAPABILITY_INVALID',
    facts: { capability: { ...capability, aud: 'bank' } },
  },
  {
    says: 'another action',
    check: 'authorization details',
    code: 'CAPABILITY_INVALID',
    facts: withDetail({ actions: ['postgres.table.drop'] }),
  },
  {
    says: 'another revision',
    check: 'authorization details',
    code: 'CAPABILITY_INVALID',
    facts: withDetail({ revision: 2 }),
  },
  {
    says: 'another tenant',
    check: 'context',
    code: 'CONTEXT_MISMATCH',
    facts: { capability: { ...capability, tenant: 'globex' } },
  },
  {
    says: 'a session of another agent',
    check: 'context',
    code: 'CONTEXT_MISMATCH',
    facts: { session: { ...good.session, agent: 'reporter' } },
  },
  {
    says: 'a revoked session',
    check: 'session',
    code: 'SESSION_REVOKED',
    facts: { session: { ...good.session, revoked: true } },
  },
  {
    says: 'an older session epoch',
    check: 'session',
    code: 'SESSION_REVOKED',
    facts: { session: { ...good.session, epoch: 1 } },
  },
  {
    says: 'an expired session',
    check: 'session',
    code: 'SESSION_EXPIRED',
    facts: { session: { ...good.session, expiresAtMs: NOW.gateMs } },
  },
  {
    says: 'a denied request',
    check: 'request is open',
    code: 'REQUEST_CLOSED',
    facts: { requestState: 'denied' },
  },
  {
    says: 'a second effect',
    check: 'one effect',
    code: 'EFFECT_EXISTS',
    facts: { consumedBefore: true },
  },
  {
    says: 'a plan that changed',
    check: 'plan',
    code: 'PLAN_CHANGED',
    facts: { freshPlan: { ...plan, planHash: OTHER } },
  },
  {
    says: 'an old second plan',
    check: 'plan',
    code: 'PLAN_STALE',
    facts: { freshPlan: { ...plan, iat: NOW_S - 31 } },
  },
  {
    says: 'a plan of another request',
    check: 'plan',
    code: 'DIGEST_MISMATCH',
    facts: { freshPlan: { ...plan, requestId: 'req_2' } },
  },
  {
    says: 'an irreversible action by relayed votes',
    check: 'effect class',
    code: 'STEP_UP_UNAVAILABLE',
    facts: { manifest: { ...good.manifest, effectClass: 'irreversible' } },
  },
  {
    says: 'what policy denies',
    check: 'policy',
    code: 'POLICY_DENIED',
    facts: { policy: { ...good.policy, decision: 'deny', code: 'POLICY_DENIED' } },
  },
  {
    says: 'a capability of another policy',
    check: 'policy',
    code: 'POLICY_VERSION',
    facts: { capability: { ...capability, policyDigest: OTHER } },
  },
  { says: 'no votes', check: 'quorum', code: 'APPROVAL_MISSING', facts: { votes: [] } },
  {
    says: 'self-approval by the agent’s owner',
    check: 'quorum',
    code: 'APPROVAL_MISSING',
    facts: { votes: [voteOf('olga')] },
  },
  {
    says: 'a voter outside the asked groups',
    check: 'quorum',
    code: 'APPROVAL_MISSING',
    facts: { votes: [voteOf('sam')] },
  },
  {
    says: 'one person twice where two are needed',
    check: 'quorum',
    code: 'APPROVAL_MISSING',
    facts: {
      policy: { ...good.policy, quorum: 2 },
      votes: [voteOf('mia'), voteOf('mia', { jti: 'again' })],
    },
  },
  {
    says: 'one person where the plan fires a trigger',
    check: 'quorum',
    code: 'APPROVAL_MISSING',
    facts: { approvedBody: { ...good.approvedBody, overshoot: ['do what a trigger does'] } },
  },
  {
    says: 'one person where the action could do more',
    check: 'quorum',
    code: 'APPROVAL_MISSING',
    facts: { manifest: { ...good.manifest, overshoot: ['read every other row'] } },
  },
  {
    says: 'a vote on another digest',
    check: 'quorum',
    code: 'APPROVAL_MISSING',
    facts: { votes: [voteOf('mia', { digest: OTHER })] },
  },
  {
    says: 'a vote under an older policy',
    check: 'quorum',
    code: 'APPROVAL_MISSING',
    facts: { votes: [voteOf('mia', { policyDigest: OTHER })] },
  },
  {
    says: 'an expired vote',
    check: 'quorum',
    code: 'APPROVAL_MISSING',
    facts: { votes: [voteOf('mia', { notAfter: NOW_S })] },
  },
  {
    says: 'a no beside a yes',
    check: 'quorum',
    code: 'DENIED',
    facts: { votes: [voteOf('mia'), voteOf('paul', { vote: 'deny' })] },
  },
  {
    says: 'one relayed approval too many in an hour',
    check: 'relayed budget',
    code: 'RATE_LIMITED',
    facts: { relayed: { lastHour: 20, perHourMax: 20 } },
  },
];

test('what is in order may be consumed', () => {
  expect(mayConsume(good, NOW, consumeChecks)).toBeNull();
});

test('what could do more than its plan may be consumed by two persons', () => {
  const approvedBody = { ...good.approvedBody, overshoot: ['do what a trigger does'] };
  const votes = [voteOf('mia'), voteOf('paul')];
  expect(quorumOf({ ...good, approvedBody })).toBe(2);
  expect(mayConsume({ ...good, approvedBody, votes }, NOW, consumeChecks)).toBeNull();
});

describe.each(cases)('$says', ({ check, code, facts, now }) => {
  test(`is refused with ${code}`, () => {
    expect(mayConsume({ ...good, ...facts }, now ?? NOW, consumeChecks)).toMatchObject({ code, check });
  });

  test('would go through without its check', () => {
    const fewer = consumeChecks.filter(({ name }) => name !== check);
    expect(mayConsume({ ...good, ...facts }, now ?? NOW, fewer)).toBeNull();
  });
});

test('every check has a case that it alone refuses', () => {
  const covered = new Set(cases.map(({ check }) => check));
  expect(consumeChecks.map(({ name }) => name).filter((name) => !covered.has(name))).toEqual([]);
});

test('policy cannot lower the floor of the effect class', () => {
  const lax = { ...good, votes: [], policy: { ...good.policy, decision: 'allow' as const, quorum: 0 } };
  expect(mayConsume(lax, NOW, consumeChecks)).toMatchObject({ code: 'APPROVAL_MISSING' });
});
