import { describe, expect, test } from 'vitest';
import { directory } from '../../test/fixtures/electorate.ts';
import type { PlanBody } from '../action/define.ts';
import { digestOf, type RequestContent } from '../action/request.ts';
import { canonicalDigest, sha256Base64url } from '../canonical.ts';
import type { Claims } from '../identity/claims.ts';
import type { RefusalCode } from '../refusal.ts';
import { mayTrade, type TradeFacts, tradeChecks } from './may-trade.ts';
import { statementText } from './statement.ts';

const NOW_S = 1_790_000_000;
const JKT = 'k'.repeat(43);
const POLICY = 'y'.repeat(43);
const OTHER = 'o'.repeat(43);
const NOT_AFTER = new Date((NOW_S + 100) * 1_000).toISOString();

const content: RequestContent = {
  requestId: 'req_1',
  revision: 1,
  session: 'ses_1',
  sub: 'agent:cleaner',
  act: null,
  action: 'postgres.rows.delete',
  schemaVersion: 1,
  input: {},
  tenant: 'acme',
  environment: 'production',
  resource: 'shop/public.orders',
};
const plan: PlanBody = {
  version: 1,
  summary: [],
  counts: { rows: 1 },
  undo: 'kept',
  overshoot: [],
  effects: { rows: ['a'] },
};
const planHash = canonicalDigest(plan);
const digest = digestOf(content, planHash);
const statementFor = (notAfter: string, body: PlanBody = plan) =>
  statementText({ target: 'shop', digest, effectKey: 'req_1', fence: 1, notAfter, plan: body });
const statement = statementFor(NOT_AFTER);

const vote: Claims<'vote'> = {
  iss: 'people',
  iat: NOW_S - 10,
  jti: 'vote-1',
  requestId: 'req_1',
  revision: 1,
  vote: 'approve',
  digest,
  voter: 'mia',
  policyDigest: POLICY,
  notAfter: NOW_S + 600,
  nonce: 'n',
  via: 'slack',
  surface: { team: 'T1', user: 'U1', channel: 'C1', message: '1' },
};

const good: TradeFacts = {
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
    authorization_details: [
      {
        type: 'firebreak_action',
        actions: [content.action],
        identifier: content.resource,
        digest,
        schemaVersion: 1,
        requestId: 'req_1',
        revision: 1,
      },
    ],
    planHash,
    policyDigest: POLICY,
    rules: [],
  },
  receipt: {
    iss: 'gate',
    iat: NOW_S,
    exp: NOW_S + 10,
    jti: 'receipt-1',
    aud: 'credentials',
    requestId: 'req_1',
    revision: 1,
    capability: { iss: 'broker', jti: 'cap-1' },
    cnf: { jkt: JKT },
    digest,
    effectKey: 'req_1',
    fence: 1,
    target: 'shop',
    statementHash: sha256Base64url(statement),
  },
  proofJkt: JKT,
  content,
  plan,
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
  votes: [vote],
  statement,
  notAfter: NOT_AFTER,
  directory,
  nowS: NOW_S,
};

type Case = { says: string; check: string; code: RefusalCode; facts: Partial<TradeFacts> };

const { receipt, capability } = good;
const late = new Date((NOW_S + 101) * 1_000).toISOString();

const cases: Case[] = [
  { says: 'another executor’s key', check: 'possession', code: 'WRONG_KEY', facts: { proofJkt: OTHER } },
  {
    says: 'a receipt for another capability',
    check: 'receipt',
    code: 'RECEIPT_INVALID',
    facts: { receipt: { ...receipt, capability: { iss: 'broker', jti: 'cap-2' } } },
  },
  {
    says: 'a receipt for another request',
    check: 'receipt',
    code: 'RECEIPT_INVALID',
    facts: { receipt: { ...receipt, requestId: 'req_2' } },
  },
  {
    says: 'a capability for another plan',
    check: 'digest',
    code: 'DIGEST_MISMATCH',
    facts: { capability: { ...capability, planHash: OTHER } },
  },
  {
    says: 'a capability for another tenant',
    check: 'authorization details',
    code: 'CAPABILITY_INVALID',
    facts: { capability: { ...capability, tenant: 'globex' } },
  },
  {
    says: 'a statement that says more than the plan',
    check: 'statement',
    code: 'DIGEST_MISMATCH',
    facts: { statement: statementFor(NOT_AFTER, { ...plan, effects: { rows: ['a', 'b'] } }) },
  },
  {
    says: 'a statement that outlives its capability',
    check: 'statement',
    code: 'APPROVAL_EXPIRED',
    facts: {
      notAfter: late,
      statement: statementFor(late),
      receipt: { ...receipt, statementHash: sha256Base64url(statementFor(late)) },
    },
  },
  {
    says: 'an irreversible action by relayed votes',
    check: 'effect class',
    code: 'STEP_UP_UNAVAILABLE',
    facts: { manifest: { ...good.manifest, effectClass: 'irreversible' } },
  },
  { says: 'no votes', check: 'floor', code: 'APPROVAL_MISSING', facts: { votes: [] } },
  {
    says: 'self-approval by the agent’s owner',
    check: 'floor',
    code: 'APPROVAL_MISSING',
    facts: { votes: [{ ...vote, voter: 'olga' }] },
  },
  {
    says: 'a vote on another digest',
    check: 'floor',
    code: 'APPROVAL_MISSING',
    facts: { votes: [{ ...vote, digest: OTHER }] },
  },
  {
    says: 'a no',
    check: 'floor',
    code: 'DENIED',
    facts: { votes: [vote, { ...vote, voter: 'paul', vote: 'deny' }] },
  },
];

test('what is in order may be traded', () => {
  expect(mayTrade(good, tradeChecks)).toBeNull();
});

describe.each(cases)('$says', ({ check, code, facts }) => {
  test(`is refused with ${code}`, () => {
    expect(mayTrade({ ...good, ...facts }, tradeChecks)).toMatchObject({ code, check });
  });

  test('would go through without its check', () => {
    const fewer = tradeChecks.filter(({ name }) => name !== check);
    expect(mayTrade({ ...good, ...facts }, fewer)).toBeNull();
  });
});

describe('a plan that fires a trigger', () => {
  /** All of it made for that plan: only the number of votes is in question. */
  function factsOf(voters: readonly string[]): TradeFacts {
    const fires: PlanBody = { ...plan, overshoot: ['do what a trigger does'] };
    const hash = canonicalDigest(fires);
    const its = digestOf(content, hash);
    const told = statementText({
      target: 'shop',
      digest: its,
      effectKey: 'req_1',
      fence: 1,
      notAfter: NOT_AFTER,
      plan: fires,
    });
    const [detail] = capability.authorization_details;
    if (detail === undefined) throw new TypeError('expected a detail');
    return {
      ...good,
      plan: fires,
      capability: { ...capability, planHash: hash, authorization_details: [{ ...detail, digest: its }] },
      receipt: { ...receipt, digest: its, statementHash: sha256Base64url(told) },
      statement: told,
      votes: voters.map((voter) => ({ ...vote, voter, digest: its })),
    };
  }

  test('is traded for the votes of two persons, and refused for one', () => {
    expect(mayTrade(factsOf(['mia', 'paul']), tradeChecks)).toBeNull();
    expect(mayTrade(factsOf(['mia']), tradeChecks)).toMatchObject({
      check: 'floor',
      code: 'APPROVAL_MISSING',
    });
  });
});

test('every check has a case that it alone refuses', () => {
  const covered = new Set(cases.map(({ check }) => check));
  expect(tradeChecks.map(({ name }) => name).filter((name) => !covered.has(name))).toEqual([]);
});
