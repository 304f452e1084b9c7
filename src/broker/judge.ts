import { overshootOf } from '../action/overshoot.ts';
import type { Policy, PolicyDecision } from '../policy/decide.ts';
import { policyFactsOf } from '../policy/facts.ts';
import { electorsOf } from '../quorum/electorate.ts';
import { floorOf } from '../quorum/floor.ts';
import { Refusal, type RefusalCode } from '../refusal.ts';
import type { Settings } from '../settings.ts';
import type { DecisionStage, Subject } from './read-subject.ts';

/**
 * The broker's rules around policy, pure: session, effect class, policy, and whether enough people exist at all.
 * The first that says no decides, and none of them can turn a denial of policy into anything else.
 */
export type Judge = { policy: Policy; settings: Settings };
export type Moment = { stage: DecisionStage; nowMs: number };

export function judge({ policy, settings }: Judge, subject: Subject, moment: Moment): PolicyDecision {
  refuseSession(subject, moment);
  refuseClass(subject);
  const decision = policy.decide(
    policyFactsOf({
      stage: moment.stage,
      content: subject.content,
      agent: subject.agent,
      purpose: subject.session.purpose,
      plan: subject.plan,
      manifest: subject.manifest,
      settings,
    }),
  );
  if (decision.decision === 'requestable') refuseUnreachable(settings, subject, decision);
  return decision;
}

/** A denial that is not policy's own. It asks nothing of anybody, and carries the digest of what was active. */
export function denialOf(
  { policy }: Pick<Judge, 'policy'>,
  code: RefusalCode,
  reason: string,
): PolicyDecision {
  const reasons = [Array.from(reason).slice(0, REASON_CHARACTERS_MAX).join('')];
  return { decision: 'deny', quorum: 0, groups: [], rules: [], reasons, policyDigest: policy.digest, code };
}

/** As the claims of decisions allow. */
const REASON_CHARACTERS_MAX = 500;

function refuseSession({ session }: Subject, { nowMs }: Moment): void {
  if (session.revoked_at !== null) throw new Refusal('SESSION_REVOKED', 'session was revoked');
  if (session.expires_at.getTime() <= nowMs) throw new Refusal('SESSION_EXPIRED', 'session has expired');
}

/** Said at submit already: nobody can give a personal vote yet, so nothing of the target is even read. */
function refuseClass({ manifest, plan }: Subject): void {
  const { personal } = floorOf(manifest.effectClass, overshootOf(manifest, plan).length);
  if (personal > 0) {
    throw new Refusal(
      'STEP_UP_UNAVAILABLE',
      `a ${manifest.effectClass} action needs ${personal} personal votes, which cannot be given here yet`,
    );
  }
}

/** Said at once, instead of after an hour of waiting for somebody who does not exist. */
function refuseUnreachable(
  settings: Settings,
  { content, agent }: Subject,
  { quorum, groups }: PolicyDecision,
): void {
  const unknown = groups.find((group) => !settings.groups.some(({ id }) => id === group));
  if (unknown !== undefined) {
    throw new Refusal('QUORUM_UNREACHABLE', `policy asks group ${unknown}, which is not configured`);
  }
  const requester = { agent, sub: content.sub, act: content.act };
  const electors = electorsOf({ directory: settings, requester, groups });
  if (electors.length < quorum) {
    throw new Refusal(
      'QUORUM_UNREACHABLE',
      `expected ${quorum} persons of ${groups.join(' or ')} who do not stand behind this request, got ${electors.length}`,
    );
  }
}
