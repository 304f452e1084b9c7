import { z } from 'zod';
import { type PlanBody, planBodySchema } from '../action/define.ts';
import { sha256Base64url } from '../canonical.ts';
import type { ConsumeFacts } from '../capability/may-consume.ts';
import type { Database } from '../database/pool.ts';
import { readContent } from '../database/request-content.ts';
import { type RequestRow, storedRequestSchema } from '../database/requests.ts';
import { storedSessionSchema } from '../database/sessions.ts';
import type { Claims } from '../identity/claims.ts';
import { verify } from '../identity/verify.ts';
import { policyFactsOf } from '../policy/facts.ts';
import { Refusal } from '../refusal.ts';
import type { Gate } from './gate.ts';

/** Everything that one consumption stands on, loaded raw and verified here, in the caller's transaction. */
export type Loaded = {
  facts: ConsumeFacts;
  row: RequestRow;
  plan: PlanBody;
  /** The vote statements as they were signed. */
  voteStatements: string[];
  databaseMs: number;
};

type Asked = { capability: Claims<'capability'>; proofJkt: string; planStatement: string };

export async function loadFacts(gate: Gate, tx: Database, asked: Asked): Promise<Loaded> {
  const { capability, proofJkt } = asked;
  const stored = await readStored(tx, capability);
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
    counts: approved.plan.counts,
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

const planSchema = z.object({ body: z.string(), statement: z.string() });

const storedSchema = z.object({
  request: storedRequestSchema,
  session: storedSessionSchema.nullable(),
  plan: planSchema.nullable(),
  votes: z.array(z.string()),
  consumed: z.boolean(),
  relayed: z.int(),
  now: z.date(),
});

/**
 * One statement, one snapshot, taken after the locks were: the request; its session; the plan that the capability
 * names; all votes of the request, so that a no on this digest cannot be left out; whether its effect key was used;
 * consumptions by relayed votes in the last sixty minutes of its tenant and environment; the database's clock.
 */
const STORED = `
  select to_jsonb(r.*) as request, to_jsonb(s.*) as session,
    (select to_jsonb(p.*) from firebreak.plan p
     where p.request_id = r.id and p.revision = $2 and p.plan_hash = $3 order by p.id limit 1) as plan,
    array(select v.statement from firebreak.vote v where v.request_id = r.id order by v.id) as votes,
    exists (select from firebreak.consumption c where c.effect_key = r.id) as consumed,
    (select count(*)::int from firebreak.consumption c join firebreak.request o on o.id = c.effect_key
     where o.tenant = r.tenant and o.environment = r.environment and cardinality(c.votes) > 0
       and c.consumed_at > clock_timestamp() - interval '1 hour') as relayed,
    clock_timestamp() as now
  from firebreak.request r left join firebreak.session s on s.id = r.session_id
  where r.id = $1`;

async function readStored(tx: Database, { authorization_details, planHash }: Claims<'capability'>) {
  const [detail] = authorization_details;
  const [stored] = await tx.rows(storedSchema, STORED, [detail?.requestId, detail?.revision, planHash]);
  if (stored === undefined) {
    throw new Refusal('UNKNOWN_REQUEST', `no request is called ${detail?.requestId ?? ''}`);
  }
  const { request, session, plan, ...rest } = stored;
  if (session === null) throw new Refusal('SESSION_UNKNOWN', 'no session stands behind this token');
  if (plan === null) throw new Refusal('DIGEST_MISMATCH', 'no such plan was made for this request');
  return { row: request, session, plan, ...rest };
}

function trustOf(gate: Gate, code: 'PLAN_STALE' | 'APPROVAL_MISSING') {
  return { keys: gate.keys, nowS: Math.floor(gate.clock() / 1_000), code };
}

/** The plan that the capability names; what its hash covers is the stored text itself. */
async function readApprovedPlan(gate: Gate, { body, statement }: z.infer<typeof planSchema>) {
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
