import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type FiledRequests,
  MISSING,
  type PlanChanges,
  startFiledRequests,
} from '../../test/fixtures/filed-requests.ts';
import { loadPolicyOf, permit, shippedPolicies } from '../../test/fixtures/policies.ts';
import type { EffectClass } from '../action/define.ts';
import { digestOf, type RequestContent, requestDigestOf } from '../action/request.ts';
import { canonicalText } from '../canonical.ts';
import { findRequest } from '../database/requests.ts';
import { loadPolicy } from '../policy/load.ts';
import { createDecider, type Decider, decideFor } from './decide.ts';

let world: FiledRequests;
let own: Decider;
beforeAll(async () => {
  world = await startFiledRequests();
  const { database, settings } = world;
  own = {
    database: database.open('broker'),
    keys: database.keys,
    settings,
    manifests: await world.manifestsOf({}),
    policy: await loadPolicy(shippedPolicies),
    signingKey: await database.signer('broker', 'decision'),
    writeEntry: await database.entryWriter('broker'),
    clock: () => Date.now(),
  };
});
afterAll(async () => await world.stop());

async function decide(content: RequestContent, stage: 'submit' | 'plan', decider: Decider = own) {
  const { requestId, revision } = content;
  return await createDecider(decider)({ requestId, revision, stage });
}

test('a request is put before people after submit and after plan, signed and recorded', async () => {
  const content = await world.file();
  const submitted = await decide(content, 'submit');
  expect(submitted).toMatchObject({
    decision: 'requestable',
    quorum: 1,
    groups: ['operators'],
    policyDigest: own.policy.digest,
    code: null,
  });
  const planHash = await world.plan(content, { rows: 3 });
  expect(await decide(content, 'plan')).toMatchObject({ decision: 'requestable', quorum: 1 });
  const [first, second] = await world.statementsOf(content);
  expect(first).toMatchObject({
    iss: 'broker',
    stage: 'submit',
    requestId: content.requestId,
    requestDigest: requestDigestOf(content),
    obligations: { quorum: 1, groups: ['operators'] },
    rules: ['maintenance-deletes-rows'],
  });
  expect(first).not.toHaveProperty('planHash');
  expect(second).toMatchObject({ stage: 'plan', planHash, decision: 'requestable' });
  const [, entry] = await world.entriesOf(content);
  expect(entry).toMatchObject({
    kind: 'decided',
    stage: 'plan',
    decision: 'requestable',
    effectClass: 'reversible',
    quorum: 1,
    digest: digestOf(content, planHash),
    planHash,
    counts: { rows: 3 },
    policyDigest: own.policy.digest,
    subject: 'cleaner',
  });
});

test('the same decision twice is recorded once, another one is recorded beside it', async () => {
  const content = await world.file();
  expect(await decide(content, 'submit')).toEqual(await decide(content, 'submit'));
  expect(await world.statementsOf(content)).toHaveLength(1);
  expect(await world.entriesOf(content)).toHaveLength(1);
  const stricter = { ...own, policy: await loadPolicyOf({ 'a.cedar': permit({ quorum: '2' }) }) };
  await decide(content, 'submit', stricter);
  expect(await world.statementsOf(content)).toHaveLength(2);
});

test('facts of the plan count: over 1,000 rows need two operators', async () => {
  const content = await world.file();
  await world.plan(content, { rows: 1_001 });
  expect(await decide(content, 'plan')).toMatchObject({
    decision: 'requestable',
    quorum: 2,
    rules: ['maintenance-deletes-many-rows'],
  });
});

test('what the plan could do besides counts: it needs one operator more', async () => {
  const content = await world.file();
  const plan = { version: 1, summary: [], counts: { rows: 1 }, undo: 'kept', effects: {} };
  await world.plan(content, { rows: 1 }, { body: canonicalText({ ...plan, overshoot: [] }) });
  expect(await decide(content, 'plan')).toMatchObject({ quorum: 1 });
  await world.plan(content, { rows: 1 }, { body: canonicalText({ ...plan, overshoot: ['fire a trigger'] }) });
  expect(await decide(content, 'plan')).toMatchObject({ decision: 'requestable', quorum: 2 });
});

test('a denial of policy is signed and recorded with its code', async () => {
  const content = await world.file({ resource: 'bank/public.accounts' });
  expect(await decide(content, 'submit')).toMatchObject({
    decision: 'deny',
    code: 'POLICY_DENIED',
    rules: ['tenants-stay-apart'],
  });
  expect((await world.statementsOf(content))[0]).toMatchObject({
    decision: 'deny',
    rules: ['tenants-stay-apart'],
  });
  expect((await world.entriesOf(content))[0]).toMatchObject({
    decision: 'deny',
    code: 'POLICY_DENIED',
    tenant: 'acme',
  });
});

test('a live session decides, a revoked and an expired one deny', async () => {
  const revoked = await world.file();
  expect((await decide(revoked, 'submit')).decision).toBe('requestable');
  const entry = await own.writeEntry({ kind: 'session-revoked', session: revoked.session });
  await own.database.run('select firebreak.revoke_session($1, $2)', [revoked.session, entry]);
  expect(await decide(revoked, 'submit')).toMatchObject({ decision: 'deny', code: 'SESSION_REVOKED' });
  const expired = await world.file();
  const later = { ...own, clock: () => Date.now() + 3_600_000 };
  expect(await decide(expired, 'submit', later)).toMatchObject({ decision: 'deny', code: 'SESSION_EXPIRED' });
});

test('a request of a session that is another agent’s is denied', async () => {
  const content = await world.file({}, 'reporter');
  expect(await decide(content, 'submit')).toMatchObject({ decision: 'deny', code: 'CONTEXT_MISMATCH' });
});

test('an agent that is no longer configured is denied', async () => {
  const content = await world.file();
  const without = { ...own, settings: { ...own.settings, workloads: [] } };
  expect(await decide(content, 'submit', without)).toMatchObject({ decision: 'deny', code: 'POLICY_ERROR' });
});

test('an action that the signed manifest does not know is denied', async () => {
  const content = await world.file({ action: 'postgres.tables.drop' });
  expect(await decide(content, 'submit')).toMatchObject({ decision: 'deny', code: 'UNKNOWN_ACTION' });
});

const personal: EffectClass[] = ['irreversible', 'export', 'privilege', 'cross-tenant'];

test.for(personal)('a class that needs personal votes is denied at submit: %s', async (effectClass) => {
  const manifests = await world.manifestsOf({ effectClass });
  const policy = await loadPolicyOf({ 'a.cedar': permit({ quorum: '0' }) });
  const content = await world.file();
  expect(await decide(content, 'submit', { ...own, policy, manifests })).toMatchObject({
    decision: 'deny',
    code: 'STEP_UP_UNAVAILABLE',
  });
});

test('one who asks too few people is told at once: unknown group, owner alone, too large a quorum', async () => {
  const content = await world.file();
  const asked = async (changes: Parameters<typeof permit>[0]) => {
    const policy = await loadPolicyOf({ 'a.cedar': permit(changes) });
    return await decide(content, 'submit', { ...own, policy });
  };
  const unreachable = { decision: 'deny', code: 'QUORUM_UNREACHABLE' };
  // Three operators, of whom olga owns the agent.
  expect((await asked({ quorum: '2' })).decision).toBe('requestable');
  expect(await asked({ quorum: '3' })).toMatchObject(unreachable);
  expect(await asked({ group: 'operators, nobody' })).toMatchObject(unreachable);
  expect(await asked({ group: 'owners' })).toMatchObject(unreachable);
});

test.for([
  { name: 'content', set: `content = replace(content, 'public.orders', 'public.others')` },
  { name: 'digest', set: `request_digest = '${MISSING}'` },
  { name: 'target', set: `target = 'bank'` },
  { name: 'tenant', set: `tenant = 'globex'` },
  { name: 'resource', set: `resource = 'shop/public.others'` },
])('a stored request that was changed is denied, and its columns are not signed: $name', async ({ set }) => {
  const content = await world.file();
  await world.query(`update firebreak.request set ${set} where id = $1`, [content.requestId]);
  expect(await decide(content, 'submit')).toMatchObject({ decision: 'deny', code: 'DIGEST_MISMATCH' });
  const [entry] = await world.entriesOf(content);
  expect(entry).toMatchObject({ decision: 'deny', code: 'DIGEST_MISMATCH' });
  expect(entry).not.toHaveProperty('tenant');
});

test('a plan must be there, and be the planner’s word on this request and this body', async () => {
  const without = await world.file();
  await expect(decide(without, 'plan')).rejects.toMatchObject({ code: 'PLAN_STALE' });
  const refused = async (changes: PlanChanges) => {
    const content = await world.file();
    await world.plan(content, { rows: 3 }, changes);
    return await decide(content, 'plan');
  };
  expect((await refused({})).decision).toBe('requestable');
  const mismatch = { decision: 'deny', code: 'DIGEST_MISMATCH' };
  expect(await refused({ claims: { requestId: 'req_other' } })).toMatchObject(mismatch);
  expect(await refused({ claims: { requestDigest: MISSING } })).toMatchObject(mismatch);
  expect(await refused({ claims: { planHash: MISSING } })).toMatchObject(mismatch);
  expect(await refused({ claims: { target: 'bank' } })).toMatchObject(mismatch);
  expect(await refused({ claims: { counts: { rows: 1 } } })).toMatchObject(mismatch);
  expect(await refused({ claims: { counts: { rows: 3, objects: 1 } } })).toMatchObject(mismatch);
  expect(await refused({ body: 'no plan' })).toMatchObject(mismatch);
  expect(await refused({ forged: true })).toMatchObject(mismatch);
});

test.for([
  { name: 'body', set: `body = replace(body, 'kept', 'none')` },
  { name: 'hash', set: `plan_hash = '${MISSING}'` },
])('a stored plan that was changed is denied: $name', async ({ set }) => {
  const content = await world.file();
  await world.plan(content, { rows: 3 });
  await world.query(`update firebreak.plan set ${set} where request_id = $1`, [content.requestId]);
  expect(await decide(content, 'plan')).toMatchObject({ decision: 'deny', code: 'DIGEST_MISMATCH' });
});

test('what is over stays over: nothing is decided, nothing recorded', async () => {
  const content = await world.file();
  await world.query(`update firebreak.request set state = 'cancelled' where id = $1`, [content.requestId]);
  expect(await decide(content, 'submit')).toMatchObject({ decision: 'deny', code: 'REQUEST_CLOSED' });
  expect(await world.entriesOf(content)).toHaveLength(0);
});

test('no such request and no such revision are refused', async () => {
  const content = await world.file();
  const unknown = { code: 'UNKNOWN_REQUEST' };
  await expect(decide({ ...content, requestId: 'req_none' }, 'submit')).rejects.toMatchObject(unknown);
  await expect(decide({ ...content, revision: 2 }, 'submit')).rejects.toMatchObject(unknown);
});

test('minting decides by the same rules inside its own transaction', async () => {
  const content = await world.file();
  await world.plan(content, { rows: 3 });
  const decided = await own.database.transaction(
    async (tx) => await decideFor({ ...own, database: tx }, await findRequest(tx, content.requestId), 'mint'),
  );
  expect(decided.decision).toMatchObject({ decision: 'requestable', quorum: 1 });
  expect(await world.statementsOf(content)).toHaveLength(0);
});
