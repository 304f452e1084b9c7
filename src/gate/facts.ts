import { z } from 'zod';
import { type PlanBody, planBodySchema } from '../action/define.ts';
import { sha256Base64url } from '../canonical.ts';
import type { ConsumeFacts } from '../capability/may-consume.ts';
import type { Database } from '../database/pool.ts';
import { readContent } from '../database/request-content.ts';
import { findRequest, type RequestRow } from '../database/requests.ts';
import { findSession } from '../database/sessions.ts';
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
  const [detail] = capability.authorization_details;
  const row = await findRequest(tx, detail?.requestId ?? '');
  const content = readContent(row);
  const manifest = gate.manifests.find(content.action);
  const session = await findSession(tx, content.session);
  const approved = await readApprovedPlan(gate, tx, capability);
  const cast = await readVotes(gate, tx, row);
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
    votes: cast.votes,
    policy: gate.policy.decide(policyFacts),
    directory: gate.settings,
    consumedBefore: await wasConsumed(tx, row.id),
    relayed: {
      lastHour: await relayedLastHour(tx, content),
      perHourMax: gate.settings.limits.relayedPerHour,
    },
  };
  const { plan } = approved;
  return { facts, row, plan, voteStatements: cast.statements, databaseMs: await databaseClock(tx) };
}

function trustOf(gate: Gate, code: 'PLAN_STALE' | 'APPROVAL_MISSING') {
  return { keys: gate.keys, nowS: Math.floor(gate.clock() / 1_000), code };
}

const planSchema = z.object({ body: z.string(), statement: z.string() });

/** The plan that the capability names; what its hash covers is the stored text itself. */
async function readApprovedPlan(gate: Gate, tx: Database, capability: Claims<'capability'>) {
  const [detail] = capability.authorization_details;
  const [row] = await tx.rows(
    planSchema,
    `select body, statement from firebreak.plan
     where request_id = $1 and revision = $2 and plan_hash = $3 order by id limit 1`,
    [detail?.requestId, detail?.revision, capability.planHash],
  );
  if (row === undefined) throw new Refusal('DIGEST_MISMATCH', 'no such plan was made for this request');
  const claims = await verify('plan', row.statement, trustOf(gate, 'PLAN_STALE'));
  return { claims, bodyHash: sha256Base64url(row.body), plan: parsePlan(row.body) };
}

function parsePlan(body: string): PlanBody {
  try {
    return planBodySchema.parse(JSON.parse(body));
  } catch (cause) {
    throw new Refusal('DIGEST_MISMATCH', 'stored plan has another form than expected', { cause });
  }
}

const voteSchema = z.object({ statement: z.string() });

/** All votes of the request, so that a no on this digest cannot be left out; one that does not verify ends it. */
async function readVotes(gate: Gate, tx: Database, row: RequestRow) {
  const rows = await tx.rows(
    voteSchema,
    'select statement from firebreak.vote where request_id = $1 order by id',
    [row.id],
  );
  const statements = rows.map(({ statement }) => statement);
  const votes = await Promise.all(
    statements.map(async (statement) => await verify('vote', statement, trustOf(gate, 'APPROVAL_MISSING'))),
  );
  return { statements, votes };
}

const foundSchema = z.object({ found: z.boolean() });

async function wasConsumed(tx: Database, effectKey: string): Promise<boolean> {
  const [row] = await tx.rows(
    foundSchema,
    'select exists (select from firebreak.consumption where effect_key = $1) as found',
    [effectKey],
  );
  return row?.found ?? true;
}

const countSchema = z.object({ count: z.int() });

/**
 * Consumptions by relayed votes in any sixty minutes, per tenant and environment. The lock is held until commit:
 * two consumptions side by side must not both be the last one of the budget.
 */
async function relayedLastHour(
  tx: Database,
  { tenant, environment }: { tenant: string; environment: string },
): Promise<number> {
  await tx.run("select pg_advisory_xact_lock(hashtextextended('relayed ' || $1 || ' ' || $2, 0))", [
    tenant,
    environment,
  ]);
  const [row] = await tx.rows(
    countSchema,
    `select count(*)::int as count from firebreak.consumption c join firebreak.request r on r.id = c.effect_key
     where r.tenant = $1 and r.environment = $2 and cardinality(c.votes) > 0
       and c.consumed_at > clock_timestamp() - interval '1 hour'`,
    [tenant, environment],
  );
  return row?.count ?? Number.POSITIVE_INFINITY;
}

const clockSchema = z.object({ now: z.date() });

async function databaseClock(tx: Database): Promise<number> {
  const [row] = await tx.rows(clockSchema, 'select clock_timestamp() as now');
  if (row === undefined) throw new Refusal('UNAVAILABLE', 'database does not tell the time');
  return row.now.getTime();
}
