import { z } from 'zod';
import { overshootOf } from '../../action/overshoot.ts';
import type { CallReply } from '../../call/table.ts';
import { finalStates, findDecision, findPlan, findRequest } from '../../database/requests.ts';
import type { Claims } from '../../identity/claims.ts';
import { verify } from '../../identity/verify.ts';
import { electorsOf } from '../../quorum/electorate.ts';
import { floorOf, floorTotal } from '../../quorum/floor.ts';
import { Refusal } from '../../refusal.ts';
import { nowS, type PeopleDoor, type RequestReference } from './door.ts';
import { cardOf, electorateOf, type Judged, readJudged, type Terms } from './judged.ts';

/**
 * Puts a request before people: once for one digest and one policy, however often it is called. The orchestrator
 * names a request and nothing else; what is asked, of whom and how many of them is read from signed statements.
 */
export async function ask(
  door: PeopleDoor,
  reference: RequestReference,
): Promise<CallReply<'people', 'ask'>> {
  const judged = await readNewest(door, reference);
  const decision = await readDecision(door, judged);
  const { policyDigest } = decision;
  const before = await findAsk(door, judged, policyDigest);
  if (before !== undefined) return replyOf(judged, before);
  refuseClass(judged);
  const terms = termsOf(door, judged, decision);
  refuseUnreachable(door, judged, terms);
  await openAsk(door, judged, { ...terms, policyDigest, rules: decision.rules });
  const opened = await findAsk(door, judged, policyDigest);
  if (opened === undefined) throw new Refusal('UNAVAILABLE', 'ask was not stored');
  return replyOf(judged, opened);
}

async function readNewest(door: PeopleDoor, reference: RequestReference): Promise<Judged> {
  const row = await findRequest(door.database, reference.requestId);
  if (row.revision !== reference.revision) {
    throw new Refusal('UNKNOWN_REQUEST', `request has revision ${row.revision}, not ${reference.revision}`);
  }
  if (finalStates.includes(row.state)) throw new Refusal('REQUEST_CLOSED', `request is ${row.state}`);
  const plan = await findPlan(door.database, reference);
  if (plan === undefined) throw new Refusal('PLAN_STALE', 'expected a plan before people are asked');
  const judged = readJudged(door, row, plan);
  const claims = await verify('plan', plan.statement, { keys: door.keys, nowS: nowS(door) });
  if (claims.planHash !== judged.planHash || !isOf(claims, judged)) {
    throw new Refusal('DIGEST_MISMATCH', 'plan statement is of another request or plan');
  }
  return judged;
}

/** The broker's own word that people may decide this, on exactly this request and plan. */
async function readDecision(door: PeopleDoor, judged: Judged): Promise<Claims<'decision'>> {
  const { requestId, revision } = judged.content;
  const statement = await findDecision(door.database, { requestId, revision, stage: 'plan' });
  if (statement === undefined)
    throw new Refusal('POLICY_DENIED', 'no decision says that people may be asked');
  const decision = await verify('decision', statement, { keys: door.keys, nowS: nowS(door) });
  const same = decision.stage === 'plan' && decision.planHash === judged.planHash && isOf(decision, judged);
  if (!same) throw new Refusal('DIGEST_MISMATCH', 'decision is on another request or plan');
  if (decision.decision !== 'requestable') {
    throw new Refusal('POLICY_DENIED', `decision is ${decision.decision}, not requestable`);
  }
  return decision;
}

type Statement = { requestId: string; revision: number; requestDigest: string };

function isOf(statement: Statement, { content, row }: Judged): boolean {
  return (
    statement.requestId === content.requestId &&
    statement.revision === content.revision &&
    statement.requestDigest === row.request_digest
  );
}

/** The class comes from the signed manifest. A click is the people domain's word and no person's own signature. */
function refuseClass({ manifest }: Judged): void {
  if (manifest.effectClass !== 'reversible') {
    throw new Refusal(
      'STEP_UP_UNAVAILABLE',
      `a ${manifest.effectClass} action needs personal votes, which cannot be given here yet`,
    );
  }
}

function termsOf(door: PeopleDoor, judged: Judged, { obligations }: Claims<'decision'>): Terms {
  const { manifest, plan, row } = judged;
  const floor = floorTotal(floorOf(manifest.effectClass, overshootOf(manifest, plan).length));
  const waitMs = door.settings.limits.approvalMinutes * 60_000;
  return {
    quorum: Math.max(obligations.quorum, floor),
    groups: obligations.groups,
    expiresAt: new Date(Math.min(door.clock() + waitMs, row.expires_at.getTime())),
  };
}

/** Said at once, instead of after an hour of waiting for somebody who does not exist. */
function refuseUnreachable(door: PeopleDoor, judged: Judged, { groups, quorum }: Terms): void {
  const electors = electorsOf(electorateOf(door, judged, groups));
  if (electors.length < quorum) {
    throw new Refusal(
      'QUORUM_UNREACHABLE',
      `expected ${quorum} persons of ${groups.join(', ') || 'no group'} outside the requester's own, got ${electors.length}`,
    );
  }
}

const askSchema = z.object({ expires_at: z.date(), same: z.boolean() });

/** The newest ask of the request, where it is this one; an older one has a card that says it was replaced. */
async function findAsk(door: PeopleDoor, { content, digest }: Judged, policyDigest: string) {
  const [newest] = await door.database.rows(
    askSchema,
    `select expires_at, revision = $2 and digest = $3 and policy_digest = $4 as same from firebreak.ask
     where request_id = $1 order by id desc limit 1`,
    [content.requestId, content.revision, digest, policyDigest],
  );
  return newest?.same === true ? newest : undefined;
}

function replyOf({ digest }: Judged, found: z.infer<typeof askSchema>): CallReply<'people', 'ask'> {
  return { digest, expiresAt: found.expires_at.toISOString() };
}

type Opening = Terms & { policyDigest: string; rules: string[] };

/** Ask, notice and entry in one function of the database; a second run changes nothing. */
async function openAsk(door: PeopleDoor, judged: Judged, opening: Opening): Promise<void> {
  const { content, digest, planHash } = judged;
  const { quorum, groups, policyDigest, expiresAt } = opening;
  const { cardHash } = cardOf(door, judged, opening);
  const entry = await door.writeEntry(entryOf(judged, { ...opening, cardHash }));
  const { requestId, revision } = content;
  const row = { requestId, revision, digest, planHash, policyDigest, quorum, groups, cardHash, expiresAt };
  await door.database.run('select firebreak.open_ask($1, $2, $3, $4)', [
    row,
    'slack',
    door.settings.slack.channel,
    entry,
  ]);
}

function entryOf(
  { row, content, manifest, digest, planHash }: Judged,
  opening: Opening & { cardHash: string },
) {
  return {
    kind: 'asked',
    subject: row.agent,
    session: content.session,
    tenant: content.tenant,
    environment: content.environment,
    action: content.action,
    resource: content.resource,
    requestId: content.requestId,
    revision: content.revision,
    requestDigest: row.request_digest,
    digest,
    planHash,
    effectClass: manifest.effectClass,
    quorum: opening.quorum,
    groups: [...opening.groups],
    policyDigest: opening.policyDigest,
    rules: opening.rules,
    cardHash: opening.cardHash,
    traceId: row.trace_id,
  };
}
