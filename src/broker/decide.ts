import { randomUUID } from 'node:crypto';
import { digestOf } from '../action/request.ts';
import type { CallBody, CallReply } from '../call/table.ts';
import { canonicalText } from '../canonical.ts';
import { requestFacts } from '../database/request-facts.ts';
import { finalStates, findDecision, findRequest, type RequestRow } from '../database/requests.ts';
import type { Claims } from '../identity/claims.ts';
import type { SigningKey } from '../identity/keys.ts';
import { sign, verify } from '../identity/verify.ts';
import type { EntryFacts, EntryWriter } from '../ledger/entry.ts';
import type { PolicyDecision } from '../policy/decide.ts';
import { codeOf, mayTryAgain, Refusal } from '../refusal.ts';
import { denialOf, type Judge, judge } from './judge.ts';
import { type DecisionStage, readSubject, type Subject, type SubjectReader } from './read-subject.ts';

/**
 * The broker's decision on one request: read raw, judged, signed, and durable before it is told. Promises that every
 * no is a signed denial with its code; what is only in trouble (database, no plan yet) is thrown and may be retried.
 */
export type Decider = SubjectReader &
  Judge & {
    /** Of kind `decision`. */
    signingKey: SigningKey;
    writeEntry: EntryWriter;
  };

export type Decided = {
  row: RequestRow;
  stage: DecisionStage;
  decision: PolicyDecision;
  /** Null where reading it ended in the denial. */
  subject: Subject | null;
};

/** A second call judges again, and stores nothing when it comes to the same decision. */
export function createDecider(
  own: Decider,
): (body: CallBody<'broker', 'decide'>) => Promise<CallReply<'broker', 'decide'>> {
  return async ({ requestId, revision, stage }) => {
    const row = await findRequest(own.database, requestId);
    if (row.revision !== revision) {
      throw new Refusal('UNKNOWN_REQUEST', `request has revision ${row.revision}, not ${revision}`);
    }
    // S10: what is over stays over, and nothing is added to it.
    if (finalStates.includes(row.state)) return denialOf(own, 'REQUEST_CLOSED', `request is ${row.state}`);
    const decided = await decideFor(own, row, stage);
    await recordDecision(own, decided);
    return decided.decision;
  };
}

/** Reads and judges, stores nothing: minting decides and records in a transaction of its own. */
export async function decideFor(own: Decider, row: RequestRow, stage: DecisionStage): Promise<Decided> {
  try {
    const subject = await readSubject(own, row, stage);
    return { row, stage, subject, decision: judge(own, subject, { stage, nowMs: own.clock() }) };
  } catch (error) {
    const code = codeOf(error);
    if (mayTryAgain(code)) throw error;
    const reason = error instanceof Error ? error.message : code;
    return { row, stage, subject: null, decision: denialOf(own, code, reason) };
  }
}

/** Statement and entry together, once for one decision. */
export async function recordDecision(own: Decider, decided: Decided): Promise<void> {
  const values = await decisionToRecord(own, decided);
  if (values !== null) await own.database.run(`select ${RECORD_DECISION}`, values);
}

/** For a statement that writes more than this; its parameters are `decisionToRecord`. */
export const RECORD_DECISION = 'firebreak.record_decision($1, $2, $3, $4, $5)';

/** @returns null where the newest decision of this stage is the same. */
export async function decisionToRecord(own: Decider, decided: Decided): Promise<unknown[] | null> {
  const { row, stage } = decided;
  const claims = claimsOf(own, decided);
  if (await isRecorded(own, claims)) return null;
  const statement = await sign(own.signingKey, 'decision', claims);
  return [row.id, row.revision, stage, statement, await own.writeEntry(entryOf(decided))];
}

function claimsOf(own: Decider, { row, stage, subject, decision }: Decided): Claims<'decision'> {
  const { quorum, groups, policyDigest, rules, reasons } = decision;
  return {
    iss: own.signingKey.issuer,
    iat: nowS(own),
    jti: randomUUID(),
    requestId: row.id,
    revision: row.revision,
    requestDigest: row.request_digest,
    ...planHashOf(subject),
    stage,
    decision: decision.decision,
    obligations: { quorum, groups },
    policyDigest,
    rules,
    reasons,
  };
}

/** Against the newest decision of the stage alone: yes, no, yes are three decisions. */
async function isRecorded(own: Decider, claims: Claims<'decision'>): Promise<boolean> {
  const statement = await findDecision(own.database, claims);
  if (statement === undefined) return false;
  const before = await verify('decision', statement, { keys: own.keys, nowS: nowS(own) });
  return canonicalText({ ...before, iat: claims.iat, jti: claims.jti }) === canonicalText(claims);
}

function entryOf({ row, stage, subject, decision }: Decided): EntryFacts {
  return {
    kind: 'decided',
    ...factsOf(row, decision),
    ...planHashOf(subject),
    ...(subject === null ? {} : knownOf(subject)),
    stage,
    decision: decision.decision,
    quorum: decision.quorum,
    groups: decision.groups,
    policyDigest: decision.policyDigest,
    rules: decision.rules,
    ...(decision.code === null ? {} : { code: decision.code }),
  };
}

/** A row that is not what its digest covers says nothing that the broker would sign, but for which one it was. */
function factsOf(row: RequestRow, { code }: PolicyDecision): Partial<EntryFacts> {
  return code === 'DIGEST_MISMATCH'
    ? { requestId: row.id, revision: row.revision, requestDigest: row.request_digest }
    : requestFacts(row);
}

function knownOf({ content, manifest, plan }: Subject): Partial<EntryFacts> {
  const { effectClass } = manifest;
  if (plan === null) return { effectClass };
  return { effectClass, digest: digestOf(content, plan.planHash), counts: plan.counts };
}

function planHashOf(subject: Subject | null): { planHash?: string } {
  return subject === null || subject.plan === null ? {} : { planHash: subject.plan.planHash };
}

function nowS({ clock }: Decider): number {
  return Math.floor(clock() / 1_000);
}
