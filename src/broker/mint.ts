import { randomUUID } from 'node:crypto';
import { digestOf, targetNameOf } from '../action/request.ts';
import type { CallBody, CallReply } from '../call/table.ts';
import { requestFacts } from '../database/request-facts.ts';
import { finalStates, findRequest, type RequestRow } from '../database/requests.ts';
import { CAPABILITY_LIFETIME_S, type Claims } from '../identity/claims.ts';
import { openContext } from '../identity/context-envelope.ts';
import { jktOf, type SigningKey } from '../identity/keys.ts';
import { sign, verify } from '../identity/verify.ts';
import { codeOf, Refusal, refusals } from '../refusal.ts';
import { readApproval } from './approval.ts';
import {
  type Decided,
  type Decider,
  decideFor,
  decisionToRecord,
  RECORD_DECISION,
  recordDecision,
} from './decide.ts';
import type { Subject } from './read-subject.ts';

/**
 * One capability for one attempt: a new evaluation of policy each time, on the plan of this moment, never beyond
 * approval, context or session. It is one of two keys (R1) and opens nothing alone.
 */
export type Minter = Decider & {
  capabilityKey: SigningKey;
  /** `context.key`. */
  contextKey: Uint8Array;
};

type Body = CallBody<'broker', 'mint'>;
type Reply = CallReply<'broker', 'mint'>;

/** A plan statement older than this says nothing about now, seconds. */
const PLAN_AGE_MAX_S = 30;

export function createMint(own: Minter): (body: Body) => Promise<Reply> {
  return async (body) => {
    const row = await findRequest(own.database, body.requestId);
    try {
      return await mint(own, row, body);
    } catch (error) {
      await recordRefusal(own, row, error);
      throw error;
    }
  };
}

async function mint(own: Minter, row: RequestRow, body: Body): Promise<Reply> {
  checkOpen(row, body);
  const { decided, subject, planHash } = await decideAgain(own, row);
  const context = await readContext(own, subject, body.context);
  await checkFreshPlan(own, { row, planHash, statement: body.planStatement });
  const approval = await readApproval(own, { row, subject, planHash, decision: decided.decision });
  const digest = digestOf(subject.content, planHash);
  const capability = {
    ...claimsOf(own, { subject, context, decided, endS: approval.endS, planHash, digest }),
    cnf: { jkt: await jktOf(body.attemptKey) },
  };
  if (capability.exp <= capability.iat) {
    throw new Refusal('APPROVAL_EXPIRED', 'the time for this act is over');
  }
  const token = await sign(own.capabilityKey, 'capability', capability);
  await record(own, { row, decided, capability, digest });
  return { capability: token, digest };
}

function checkOpen(row: RequestRow, { revision }: Body): void {
  if (row.revision !== revision) {
    throw new Refusal('UNKNOWN_REQUEST', `request has revision ${row.revision}, not ${revision}`);
  }
  if (finalStates.includes(row.state)) throw new Refusal('REQUEST_CLOSED', `request is ${row.state}`);
}

async function decideAgain(own: Minter, row: RequestRow) {
  const decided = await decideFor(own, row, 'mint');
  const { decision, subject } = decided;
  if (decision.decision === 'deny' || subject === null || subject.plan === null) {
    await recordDecision(own, decided);
    throw new Refusal(decision.code ?? 'POLICY_DENIED', decision.reasons.join('; ') || 'policy denies');
  }
  return { decided, subject, planHash: subject.plan.planHash };
}

/** The broker's own token, back from its way through Temporal: missing, spliced or widened, it ends here. */
async function readContext(own: Minter, subject: Subject, envelope: string): Promise<Claims<'context'>> {
  const { content, session } = subject;
  const context = await verify('context', await openContext(envelope, own.contextKey), {
    keys: own.keys,
    nowS: nowS(own),
    audience: 'firebreak',
    code: 'CONTEXT_MISMATCH',
    expiredCode: 'SESSION_EXPIRED',
  });
  const same =
    context.requestId === content.requestId &&
    context.revision === content.revision &&
    context.sid === content.session &&
    context.sub === content.sub &&
    (context.act?.sub ?? null) === (content.act?.sub ?? null) &&
    context.tenant === content.tenant &&
    context.environment === content.environment;
  if (!same) throw new Refusal('CONTEXT_MISMATCH', 'context is of another request');
  if (context.epoch !== session.epoch) throw new Refusal('SESSION_REVOKED', 'session was revoked');
  return context;
}

type FreshPlan = { row: RequestRow; planHash: string; statement: string };

/** The planner's word of a moment ago must be what stands in the newest stored plan. */
async function checkFreshPlan(own: Minter, { row, planHash, statement }: FreshPlan): Promise<void> {
  const fresh = await verify('plan', statement, { keys: own.keys, nowS: nowS(own), code: 'PLAN_STALE' });
  const isOn =
    fresh.requestId === row.id &&
    fresh.revision === row.revision &&
    fresh.requestDigest === row.request_digest;
  if (!isOn) throw new Refusal('DIGEST_MISMATCH', 'plan is of another request');
  if (nowS(own) - fresh.iat > PLAN_AGE_MAX_S) {
    throw new Refusal('PLAN_STALE', `expected a plan of the last ${PLAN_AGE_MAX_S} s`);
  }
  if (fresh.planHash !== planHash) {
    throw new Refusal('PLAN_CHANGED', 'what would change now is not what was planned before');
  }
}

type CapabilityFacts = {
  subject: Subject;
  context: Claims<'context'>;
  decided: Decided;
  /** When the approval ends, Unix seconds. */
  endS: number;
  planHash: string;
  digest: string;
};

function claimsOf(own: Minter, facts: CapabilityFacts): Omit<Claims<'capability'>, 'cnf'> {
  const { subject, context, decided, endS, planHash, digest } = facts;
  const { content, session, agent } = subject;
  const iat = nowS(own);
  const sessionEndS = Math.floor(session.expires_at.getTime() / 1_000);
  return {
    iss: own.capabilityKey.issuer,
    iat,
    nbf: iat,
    exp: Math.min(iat + CAPABILITY_LIFETIME_S, context.exp, endS, sessionEndS),
    jti: randomUUID(),
    sid: context.sid,
    epoch: context.epoch,
    sub: context.sub,
    ...(context.act === undefined ? {} : { act: context.act }),
    tenant: context.tenant,
    environment: context.environment,
    aud: targetNameOf(content),
    client_id: agent,
    txn: context.txn,
    authorization_details: [
      {
        type: 'firebreak_action',
        actions: [content.action],
        identifier: content.resource,
        digest,
        schemaVersion: content.schemaVersion,
        requestId: content.requestId,
        revision: content.revision,
      },
    ],
    planHash,
    policyDigest: decided.decision.policyDigest,
    rules: decided.decision.rules,
  };
}

type Minted = { row: RequestRow; decided: Decided; capability: Claims<'capability'>; digest: string };

/** Decision and minting are durable before anybody holds the capability. */
async function record(own: Minter, { row, decided, capability, digest }: Minted): Promise<void> {
  const minted = await own.writeEntry({
    kind: 'capability-minted',
    ...requestFacts(row),
    actor: capability.sub,
    capability: capability.jti,
    digest,
    planHash: capability.planHash,
    policyDigest: capability.policyDigest,
    rules: capability.rules,
  });
  const decision = await decisionToRecord(own, decided);
  // One statement is one transaction, in one round trip.
  await (decision === null
    ? own.database.run('select firebreak.append_entry($1)', [minted])
    : own.database.run(`select ${RECORD_DECISION}, firebreak.append_entry($6)`, [...decision, minted]));
}

async function recordRefusal(own: Minter, row: RequestRow, error: unknown): Promise<void> {
  const code = codeOf(error);
  if (refusals[code].status >= 500) return;
  const entry = await own.writeEntry({ kind: 'mint-refused', ...requestFacts(row), code });
  await own.database.run('select firebreak.append_entry($1)', [entry]);
}

function nowS({ clock }: Minter): number {
  return Math.floor(clock() / 1_000);
}
