import { type PlanBody, planBodySchema } from '../action/define.ts';
import { sha256Base64url } from '../canonical.ts';
import type { ConsumeFacts } from '../capability/may-consume.ts';
import { readContent } from '../database/request-content.ts';
import type { RequestRow } from '../database/requests.ts';
import type { Claims } from '../identity/claims.ts';
import { verify } from '../identity/verify.ts';
import { policyFactsOf } from '../policy/facts.ts';
import { Refusal } from '../refusal.ts';
import type { Gate } from './gate.ts';
import type { Stored } from './stored.ts';

/** Everything that one consumption stands on, verified here from what was loaded raw. */
export type Loaded = {
  facts: ConsumeFacts;
  row: RequestRow;
  plan: PlanBody;
  /** The vote statements as they were signed. */
  voteStatements: string[];
  databaseMs: number;
};

type Asked = { capability: Claims<'capability'>; proofJkt: string; planStatement: string };

export async function loadFacts(gate: Gate, stored: Stored, asked: Asked): Promise<Loaded> {
  const { capability, proofJkt } = asked;
  const { row, session } = stored;
  const content = readContent(row);
  const manifest = gate.manifests.find(content.action);
  const approved = await readApprovedPlan(gate, stored.plan);
  const votes = await verifyVotes(gate, stored.votes);
  const policyFacts = policyFactsOf({
    stage: 'consume',
    content,
    agent: capability.client_id,
    purpose: session.purpose,
    plan: approved.plan,
    manifest,
    settings: gate.settings,
  });
  const facts: ConsumeFacts = {
    capability,
    proofJkt,
    content,
    requestState: row.state,
    manifest,
    session: {
      ...session,
      expiresAtMs: session.expires_at.getTime(),
      revoked: session.revoked_at !== null,
    },
    approvedPlan: approved.claims,
    approvedBody: approved.plan,
    approvedBodyHash: approved.bodyHash,
    freshPlan: await verify('plan', asked.planStatement, trustOf(gate, 'PLAN_STALE')),
    votes,
    policy: gate.policy.decide(policyFacts),
    directory: gate.settings,
    consumedBefore: stored.consumed,
    relayed: { lastHour: stored.relayed, perHourMax: gate.settings.limits.relayedPerHour },
  };
  const { plan } = approved;
  return { facts, row, plan, voteStatements: stored.votes, databaseMs: stored.now.getTime() };
}

function trustOf(gate: Gate, code: 'PLAN_STALE' | 'APPROVAL_MISSING') {
  return { keys: gate.keys, nowS: Math.floor(gate.clock() / 1_000), code };
}

/** The plan that the capability names; what its hash covers is the stored text itself. */
async function readApprovedPlan(gate: Gate, { body, statement }: Stored['plan']) {
  const claims = await verify('plan', statement, trustOf(gate, 'PLAN_STALE'));
  return { claims, bodyHash: sha256Base64url(body), plan: parsePlan(body) };
}

function parsePlan(body: string): PlanBody {
  try {
    return planBodySchema.parse(JSON.parse(body));
  } catch (cause) {
    throw new Refusal('DIGEST_MISMATCH', 'stored plan has another form than expected', { cause });
  }
}

/** One that does not verify ends it. */
async function verifyVotes(gate: Gate, statements: readonly string[]): Promise<Claims<'vote'>[]> {
  return await Promise.all(
    statements.map(async (statement) => await verify('vote', statement, trustOf(gate, 'APPROVAL_MISSING'))),
  );
}
