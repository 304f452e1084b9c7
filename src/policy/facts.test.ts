import { expect, test } from 'vitest';
import { facts } from '../../test/fixtures/policies.ts';
import type { ActionManifest } from '../action/manifest.ts';
import type { RequestContent } from '../action/request.ts';
import type { Target, Workload } from '../settings.ts';
import { type PolicyQuestion, policyFactsOf } from './facts.ts';

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
const workload: Workload = {
  issuer: 'https://issuer.test',
  subject: 'cleaner',
  audience: 'firebreak',
  agent: 'cleaner',
  agentClass: 'maintenance',
  owner: 'olga',
  tenant: 'acme',
  environment: 'production',
  purposes: ['cleanup'],
  risk: 'low',
};
const target: Target = {
  name: 'shop',
  kind: 'postgres',
  tenant: 'acme',
  environment: 'production',
  sensitivity: 'internal',
};
const manifest: ActionManifest = {
  iss: 'root',
  iat: 1,
  jti: 'x',
  name: 'postgres.rows.delete',
  schemaVersion: 1,
  title: 'Delete rows',
  effectClass: 'reversible',
  targetKind: 'postgres',
  overshoot: [],
  longestRunMs: 1_000,
};
const question: PolicyQuestion = {
  stage: 'submit',
  content,
  agent: 'cleaner',
  purpose: 'cleanup',
  plan: null,
  manifest,
  settings: { workloads: [workload], targets: [target] },
};

test('facts come from the signed content, the manifest and the settings', () => {
  expect(policyFactsOf(question)).toEqual(facts);
});

test('what the plan could do besides counts with what the action could', () => {
  const overshootOf = (overshoot: string[], own: string[]) =>
    policyFactsOf({
      ...question,
      stage: 'plan',
      plan: { counts: { rows: 1 }, overshoot },
      manifest: { ...manifest, overshoot: own },
    }).action.overshootCount;
  expect([overshootOf([], []), overshootOf(['a'], []), overshootOf(['a'], ['b', 'c'])]).toEqual([0, 1, 3]);
});

test('of an agent with several workloads for a purpose, the riskiest is taken', () => {
  const second = { ...workload, subject: 'other' };
  const riskOf = (other: Workload) =>
    policyFactsOf({ ...question, settings: { workloads: [workload, other], targets: [target] } }).agent.risk;
  expect(riskOf({ ...second, risk: 'high' })).toBe('high');
  expect(riskOf({ ...second, risk: 'high', purposes: ['reporting'] })).toBe('low');
});

test.for<{ name: string; changes: Partial<PolicyQuestion> }>([
  { name: 'an agent that no workload maps', changes: { agent: 'stranger' } },
  { name: 'another agent than the signed subject', changes: { content: { ...content, sub: 'agent:other' } } },
  {
    name: 'another agent than the signed actor',
    changes: { content: { ...content, act: { sub: 'agent:x' } } },
  },
  { name: 'a purpose that the workload has not', changes: { purpose: 'reporting' } },
  { name: 'another tenant than the workload', changes: { content: { ...content, tenant: 'globex' } } },
  { name: 'another environment', changes: { content: { ...content, environment: 'staging' } } },
  { name: 'a target that is not configured', changes: { content: { ...content, resource: 'bank/t' } } },
  { name: 'a resource without a target', changes: { content: { ...content, resource: '/shop' } } },
  { name: 'another action than the manifest', changes: { content: { ...content, action: 'x' } } },
  { name: 'another version of the action', changes: { content: { ...content, schemaVersion: 2 } } },
])('a fact that is missing or differs is refused: $name', ({ changes }) => {
  expect(() => policyFactsOf({ ...question, ...changes })).toThrow(
    expect.objectContaining({ code: 'POLICY_ERROR' }),
  );
});
