import { resolve } from 'node:path';
import { statefulIsAuthorized } from '@cedar-policy/cedar-wasm/nodejs';
import { callOf } from '../src/policy/evaluate.ts';
import type { PolicyFacts } from '../src/policy/facts.ts';
import { loadPolicy } from '../src/policy/load.ts';
import type { Result } from './results.ts';
import { compare } from './statistics.ts';
import type { World } from './world.ts';

/** A whole decision, floor, obligations and reasons included, beside Cedar's own answer to the same question. */
const BLOCKS = 5;
const DECISIONS = 500;
const US = 1_000;

export async function measureDecision({ dev }: World): Promise<Result[]> {
  const policy = await loadPolicy(resolve(dev.data.root, dev.settings.policies.directory));
  const preparsed = { preparsedSchemaName: policy.digest, preparsedPolicySetId: policy.digest };
  const decided: number[][] = [];
  const answered: number[][] = [];
  for (let block = 0; block < BLOCKS; block += 1) {
    decided.push([each(() => policy.decide(facts).decision === 'requestable')]);
    answered.push([
      each(
        () =>
          statefulIsAuthorized({ ...callOf(facts), ...preparsed, validateRequest: true }).type === 'success',
      ),
    ]);
  }
  const note = 'one decision of the active bundle; statefulIsAuthorized on the same entities for the peer';
  return [
    { name: 'decision-vs-cedar', unit: 'us', ...compare(decided, answered), n: BLOCKS * DECISIONS, note },
  ];
}

function each(holds: () => boolean): number {
  const startMs = performance.now();
  for (let at = 0; at < DECISIONS; at += 1) if (!holds()) throw new Error('expected an answer');
  return ((performance.now() - startMs) * US) / DECISIONS;
}

const place = { tenant: 'acme', environment: 'production' };
const facts: PolicyFacts = {
  stage: 'consume',
  requestId: 'req_bench',
  agent: {
    id: 'cleanup-agent',
    agentClass: 'maintenance',
    ...place,
    purpose: 'cleanup',
    risk: 'low',
    owner: 'dana',
    sub: 'agent:cleanup-agent',
  },
  action: { name: 'postgres.rows.delete', effectClass: 'reversible', overshootCount: 0 },
  target: { name: 'shop', kind: 'postgres', ...place, sensitivity: 'internal' },
  resource: 'shop/public.newsletter_subscriptions',
  counts: { rows: 1 },
};
