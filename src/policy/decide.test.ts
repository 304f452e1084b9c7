import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import {
  facts,
  forbid,
  loadPolicyOf,
  permit,
  planned,
  shippedPolicies,
  withAction,
  withAgent,
} from '../../test/fixtures/policies.ts';
import { effectClasses } from '../action/define.ts';
import { floorOf, floorTotal } from '../quorum/floor.ts';
import type { Policy } from './decide.ts';
import { type PolicyFacts, policyStages } from './facts.ts';
import { loadPolicy } from './load.ts';

let shipped: Policy;
beforeAll(async () => {
  shipped = await loadPolicy(shippedPolicies);
});

test('a maintenance agent may ask one operator in its own place, another class may not', () => {
  expect(shipped.decide(facts)).toMatchObject({
    decision: 'requestable',
    quorum: 1,
    groups: ['operators'],
    rules: ['maintenance-deletes-rows'],
    policyDigest: shipped.digest,
    code: null,
  });
  expect(shipped.decide(withAgent({ agentClass: 'reporting' }))).toMatchObject({
    decision: 'deny',
    code: 'POLICY_DENIED',
    rules: [],
    groups: [],
  });
});

test('up to 1,000 rows need one operator, more need two', () => {
  const quorumOf = (rows: number) => shipped.decide(planned(rows));
  expect(quorumOf(1_000)).toMatchObject({ quorum: 1, rules: ['maintenance-deletes-rows'] });
  expect(quorumOf(1_001)).toMatchObject({ quorum: 2, rules: ['maintenance-deletes-many-rows'] });
});

test('rows of other tables that go along count with them', () => {
  const quorumOf = (rows: number, cascadedRows: number) =>
    shipped.decide({ ...planned(rows), counts: { rows, cascadedRows } });
  expect(quorumOf(1, 999)).toMatchObject({ quorum: 1, rules: ['maintenance-deletes-rows'] });
  expect(quorumOf(1, 1_000)).toMatchObject({ quorum: 2, rules: ['maintenance-deletes-many-rows'] });
});

test('reading needs nobody, as long as the signed manifest says that it reads', () => {
  const read = { name: 'postgres.rows.read' };
  expect(shipped.decide(withAction({ ...read, effectClass: 'read' }))).toMatchObject({
    decision: 'allow',
    quorum: 0,
    groups: [],
  });
  expect(shipped.decide(withAction({ ...read, effectClass: 'reversible' })).decision).toBe('deny');
});

test('putting rows back needs one operator, as the deletion of few rows does', () => {
  const restore = { name: 'postgres.rows.restore' };
  expect(shipped.decide(withAction(restore))).toMatchObject({
    decision: 'requestable',
    quorum: 1,
    groups: ['operators'],
    rules: ['maintenance-restores-rows'],
  });
  const other = { ...withAction(restore), agent: { ...facts.agent, agentClass: 'reporting' } };
  expect(shipped.decide(other).decision).toBe('deny');
});

test('a forbid wins over every permit: other tenant, other environment, high risk', () => {
  const forbiddenBy = (changes: Partial<PolicyFacts['agent']>) => shipped.decide(withAgent(changes));
  expect(forbiddenBy({ risk: 'medium' }).decision).toBe('requestable');
  expect(forbiddenBy({ risk: 'high' })).toMatchObject({
    decision: 'deny',
    code: 'POLICY_DENIED',
    rules: ['high-risk-sessions-stop'],
    reasons: ['a session of high risk may ask for nothing'],
  });
  expect(forbiddenBy({ tenant: 'globex' }).rules).toEqual(['tenants-stay-apart']);
  expect(forbiddenBy({ environment: 'staging' }).rules).toEqual(['environments-stay-apart']);
});

test('a default denial says what was asked and what would be permitted', () => {
  const { reasons } = shipped.decide(withAgent({ agentClass: 'reporting' }));
  expect(reasons[0]).toContain('agent cleaner (class reporting, acme production, purpose cleanup)');
  expect(reasons[0]).toContain('postgres.rows.delete on shop');
  expect(reasons[1]).toContain('maintenance agents may ask one operator to delete up to 1,000 rows');
});

test('a forbid that fails at run time denies, where Cedar alone would skip it and allow', async () => {
  const overflow = forbid('too-much', 'context.overshootCount * 9223372036854775807 > 0');
  const policy = await loadPolicyOf({ 'a.cedar': `${permit()}\n${overflow}` });
  expect(policy.decide(withAction({ overshootCount: 0 })).decision).toBe('requestable');
  expect(policy.decide(withAction({ overshootCount: 2 }))).toMatchObject({
    decision: 'deny',
    code: 'POLICY_ERROR',
    rules: ['too-much'],
  });
});

test('a permit that fails at run time denies, although another one permits', async () => {
  const overflow = permit({ id: 'too-much', when: 'context.overshootCount * 9223372036854775807 > 0' });
  const policy = await loadPolicyOf({ 'a.cedar': `${permit()}\n${overflow}` });
  expect(policy.decide(facts).decision).toBe('requestable');
  expect(policy.decide(withAction({ overshootCount: 2 })).code).toBe('POLICY_ERROR');
});

const parts = {
  agent: Object.keys(facts.agent),
  action: Object.keys(facts.action),
  target: Object.keys(facts.target),
};
const attributes = Object.entries(parts).flatMap(([part, names]) => names.map((name) => ({ part, name })));

test.for([...attributes, ...Object.keys(facts).map((name) => ({ part: '', name }))])(
  'one missing value denies: $part $name',
  ({ part, name }) => {
    const broken = structuredClone(facts);
    const owner: object = part === '' ? broken : Object(Reflect.get(broken, part));
    Reflect.deleteProperty(owner, name);
    expect(shipped.decide(broken)).toMatchObject({ decision: 'deny', code: 'POLICY_ERROR' });
    Reflect.set(owner, name, null);
    // Before the plan, null is what counts are.
    expect(shipped.decide(broken).decision).toBe(name === 'counts' ? 'requestable' : 'deny');
  },
);

test('after the plan its counts must be there, all of them and no others', () => {
  const counted = (counts: Record<string, number> | null): PolicyFacts => ({
    ...facts,
    stage: 'mint',
    counts,
  });
  expect(shipped.decide(counted({ rows: 3 })).decision).toBe('requestable');
  for (const counts of [null, {}, { rows: 3, objects: 1 }, { rows: -1 }, { rows: 1.5 }]) {
    expect(shipped.decide(counted(counts))).toMatchObject({ decision: 'deny', code: 'POLICY_ERROR' });
  }
  expect(shipped.decide({ ...counted({ rows: 3 }), stage: 'submit' }).code).toBe('POLICY_ERROR');
});

test('a number beyond 2^53 never reaches Cedar', () => {
  expect(shipped.decide(planned(Number.MAX_SAFE_INTEGER)).decision).toBe('requestable');
  expect(shipped.decide(planned(2 ** 53))).toMatchObject({
    code: 'POLICY_ERROR',
    reasons: [expect.stringContaining('counts.rows')],
  });
});

test('an action that the schema does not know is denied', () => {
  expect(shipped.decide(withAction({ name: 'postgres.tables.drop' }))).toMatchObject({
    decision: 'deny',
    code: 'POLICY_ERROR',
    reasons: [expect.stringContaining('postgres.tables.drop')],
  });
});

test('an action that the schema keeps for others than agents is denied, although everything is permitted', async () => {
  const schema = await readFile(join(shippedPolicies, 'schema.cedarschema'), 'utf8');
  const people = `namespace Firebreak { entity Person; action "people.only" appliesTo { principal: [Person], resource: [Resource], context: RowsAsked };`;
  const policy = await loadPolicyOf({
    'a.cedar': permit(),
    'schema.cedarschema': schema.replace('namespace Firebreak {', people),
  });
  expect(policy.decide(facts).decision).toBe('requestable');
  expect(policy.decide(withAction({ name: 'people.only' }))).toMatchObject({ code: 'POLICY_ERROR' });
});

test('the strictest permit counts, and the people asked are its own', async () => {
  const one = permit({ id: 'one' });
  const two = permit({ id: 'two', quorum: '2', group: 'security, operators' });
  const policy = await loadPolicyOf({ 'a.cedar': `${two}\n${one}` });
  expect(policy.decide(facts)).toMatchObject({
    quorum: 2,
    groups: ['operators', 'security'],
    rules: ['two'],
    reasons: ['two may'],
  });
});

test('equally strict permits ask the groups that all of them name, and deny when there is none', async () => {
  const both = async (group: string) =>
    await loadPolicyOf({
      'a.cedar': `${permit({ id: 'a', group: 'operators,security' })}\n${permit({ id: 'b', group })}`,
    });
  expect((await both('security')).decide(facts)).toMatchObject({ groups: ['security'], rules: ['a', 'b'] });
  expect((await both('auditors')).decide(facts)).toMatchObject({
    decision: 'deny',
    code: 'QUORUM_UNREACHABLE',
  });
});

test('policy raises the floor and never lowers it', async () => {
  const free = await loadPolicyOf({ 'a.cedar': permit({ quorum: '0' }) });
  expect(free.decide(withAction({ effectClass: 'read' }))).toMatchObject({ decision: 'allow', quorum: 0 });
  expect(free.decide(facts)).toMatchObject({ decision: 'requestable', quorum: 1, groups: ['operators'] });
  expect(free.decide(withAction({ effectClass: 'privilege', overshootCount: 4 })).quorum).toBe(3);
  const dear = await loadPolicyOf({ 'a.cedar': permit({ quorum: '4' }) });
  expect(dear.decide(withAction({ effectClass: 'read' }))).toMatchObject({
    decision: 'requestable',
    quorum: 4,
  });
});

test('a permit that names no group cannot be lifted over a floor', async () => {
  const policy = await loadPolicyOf({ 'a.cedar': permit({ quorum: '0', group: '' }) });
  expect(policy.decide(withAction({ effectClass: 'read' })).decision).toBe('allow');
  expect(policy.decide(facts)).toMatchObject({ decision: 'deny', code: 'QUORUM_UNREACHABLE' });
});

test('bundles that are loaded side by side do not mix', async () => {
  const denying = await loadPolicyOf({ 'a.cedar': forbid('nothing', 'true') });
  const permitting = await loadPolicyOf({ 'a.cedar': permit() });
  expect(denying.decide(facts).decision).toBe('deny');
  expect(permitting.decide(facts).decision).toBe('requestable');
  expect(denying.decide(facts).rules).toEqual(['nothing']);
});

const anyFacts: fc.Arbitrary<PolicyFacts> = fc.record({
  stage: fc.constantFrom(...policyStages),
  requestId: fc.string(),
  agent: fc.record({
    id: fc.string({ unit: 'binary' }),
    agentClass: fc.oneof(fc.constant('maintenance'), fc.string()),
    tenant: fc.constantFrom('acme', 'globex', ''),
    environment: fc.constantFrom('production', 'staging'),
    purpose: fc.string(),
    risk: fc.constantFrom('low', 'medium', 'high'),
    owner: fc.string(),
    sub: fc.string(),
  }),
  action: fc.record({
    name: fc.oneof(fc.constantFrom('postgres.rows.delete', 'postgres.rows.read'), fc.string()),
    effectClass: fc.constantFrom(...effectClasses),
    overshootCount: fc.oneof(fc.nat(), fc.double(), fc.integer()),
  }),
  target: fc.record({
    name: fc.string(),
    kind: fc.string(),
    tenant: fc.constantFrom('acme', 'globex'),
    environment: fc.constant('production'),
    sensitivity: fc.string(),
  }),
  // UTF-16 units: half characters too, which Cedar cannot hold.
  resource: fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.constant('shop/\ud800')),
  counts: fc.option(
    fc.oneof(
      fc.record({ rows: fc.oneof(fc.nat(), fc.double()) }),
      fc.dictionary(fc.string(), fc.double(), { noNullPrototype: false }),
    ),
  ),
});

test('whatever the facts: no throw, no allow below a floor, no quorum below it, a reason for every no', async () => {
  const open = await loadPolicyOf({ 'a.cedar': permit({ quorum: '0' }) });
  let permitted = 0;
  fc.assert(
    fc.property(anyFacts, fc.constantFrom(open, shipped), (some, policy) => {
      const { decision, quorum, reasons, code, groups } = policy.decide(some);
      const floor = floorTotal(floorOf(some.action.effectClass, some.action.overshootCount));
      if (decision !== 'deny') permitted += 1;
      expect(decision === 'allow' && floor > 0).toBe(false);
      expect(quorum).toBeGreaterThanOrEqual(floor);
      expect(decision === 'deny').toBe(code !== null);
      expect(decision === 'requestable').toBe(groups.length > 0);
      expect(reasons.every((reason) => reason.length > 0)).toBe(true);
      expect(reasons.length).toBeGreaterThan(0);
    }),
    { numRuns: 2_000 },
  );
  expect(permitted).toBeGreaterThan(0);
});
