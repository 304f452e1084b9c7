import type { PlanBody } from '../action/define.ts';
import type { ActionManifest } from '../action/manifest.ts';
import { overshootOf } from '../action/overshoot.ts';
import { digestOf, type RequestContent, requestDigestOf, targetNameOf } from '../action/request.ts';
import type { Claims } from '../identity/claims.ts';
import type { PolicyDecision } from '../policy/decide.ts';
import { type Floor, floorOf, floorTotal } from '../quorum/floor.ts';
import type { Directory } from '../quorum/requester-chain.ts';
import { type Tally, tally } from '../quorum/tally.ts';
import type { RefusalCode } from '../refusal.ts';

/**
 * The safety argument: may this capability be used up now? A pure function over facts that the gate has loaded and
 * verified itself, in the transaction that holds the authority row. It promises nothing about anybody's word: every
 * statement in here was signed by its author's key and verified a moment ago. The first check that says no decides.
 */
export type ConsumeFacts = {
  capability: Claims<'capability'>;
  /** Thumbprint of the key that proved possession of the capability just now (RFC 9449). */
  proofJkt: string;
  /** The request, from the stored text that its digest covers. */
  content: RequestContent;
  /** `open` until something ended the request. */
  requestState: string;
  manifest: ActionManifest;
  session: {
    id: string;
    agent: string;
    sub: string;
    tenant: string;
    environment: string;
    epoch: number;
    expiresAtMs: number;
    revoked: boolean;
  };
  /** The plan that people were shown, its stored body, and the hash of that. */
  approvedPlan: Claims<'plan'>;
  approvedBody: PlanBody;
  approvedBodyHash: string;
  /** The planner's word of a moment ago. */
  freshPlan: Claims<'plan'>;
  votes: readonly Claims<'vote'>[];
  /** The gate's own evaluation, of the bundle that is active here. */
  policy: PolicyDecision;
  directory: Directory;
  /** Whether this effect key was consumed before, by any capability. */
  consumedBefore: boolean;
  relayed: { lastHour: number; perHourMax: number };
};

export type ConsumeMoment = { gateMs: number; databaseMs: number };

export type ConsumeNo = { code: RefusalCode; message: string };
export type ConsumeCheck = {
  name: string;
  /** @returns null where this check has nothing against it. */
  refuse: (facts: ConsumeFacts, now: ConsumeMoment) => ConsumeNo | null;
};

/** A second plan statement older than this says nothing about now, seconds. */
export const PLAN_AGE_MAX_S = 30;
/** Beyond this, one of the two clocks is wrong and no deadline can be trusted, milliseconds. */
export const CLOCKS_APART_MAX_MS = 2_000;

/** States in which a request may still be performed. */
const OPEN_STATES: readonly string[] = ['accepted', 'waiting', 'performing'];

/** @returns null when every check agrees. `checks` is the whole list in production; tests may take one out. */
export function mayConsume(
  facts: ConsumeFacts,
  now: ConsumeMoment,
  checks: readonly ConsumeCheck[],
): (ConsumeNo & { check: string }) | null {
  for (const { name, refuse } of checks) {
    const no = refuse(facts, now);
    if (no !== null) return { ...no, check: name };
  }
  return null;
}

const no = (code: RefusalCode, message: string): ConsumeNo => ({ code, message });

export const consumeChecks: readonly ConsumeCheck[] = [
  {
    name: 'possession',
    // A stolen capability is worth nothing without the key of the attempt that it was minted for.
    refuse: ({ capability, proofJkt }) =>
      capability.cnf.jkt === proofJkt ? null : no('WRONG_KEY', 'proof is by another key than the attempt’s'),
  },
  {
    name: 'clocks',
    refuse: (_, { gateMs, databaseMs }) =>
      Math.abs(gateMs - databaseMs) <= CLOCKS_APART_MAX_MS
        ? null
        : no('CLOCKS_APART', `clocks of gate and database are ${Math.abs(gateMs - databaseMs)} ms apart`),
  },
  {
    name: 'capability lifetime',
    refuse: ({ capability }, now) =>
      capability.exp * 1_000 > latest(now) ? null : no('CAPABILITY_EXPIRED', 'capability has expired'),
  },
  {
    name: 'digest',
    refuse: ({ capability, content, approvedPlan, approvedBodyHash }) => {
      const [detail] = capability.authorization_details;
      const same =
        approvedBodyHash === approvedPlan.planHash &&
        capability.planHash === approvedPlan.planHash &&
        detail?.digest === digestOf(content, approvedPlan.planHash);
      return same ? null : no('DIGEST_MISMATCH', 'capability is for another request or plan');
    },
  },
  {
    name: 'authorization details',
    refuse: ({ capability, content }) => {
      const [detail] = capability.authorization_details;
      const same =
        detail !== undefined &&
        capability.aud === targetNameOf(content) &&
        detail.actions[0] === content.action &&
        detail.identifier === content.resource &&
        detail.schemaVersion === content.schemaVersion &&
        detail.requestId === content.requestId &&
        detail.revision === content.revision;
      return same ? null : no('CAPABILITY_INVALID', 'capability names another act than the request');
    },
  },
  {
    name: 'context',
    refuse: ({ capability, content, session }) => {
      const same =
        capability.sid === content.session &&
        capability.sub === content.sub &&
        (capability.act?.sub ?? null) === (content.act?.sub ?? null) &&
        capability.tenant === content.tenant &&
        capability.environment === content.environment &&
        session.id === content.session &&
        session.agent === capability.client_id &&
        session.sub === content.sub &&
        session.tenant === content.tenant &&
        session.environment === content.environment;
      return same ? null : no('CONTEXT_MISMATCH', 'capability, session and request say different things');
    },
  },
  {
    name: 'session',
    refuse: ({ capability, session }, now) => {
      if (session.revoked || session.epoch !== capability.epoch)
        return no('SESSION_REVOKED', 'session was revoked');
      return session.expiresAtMs > latest(now) ? null : no('SESSION_EXPIRED', 'session has expired');
    },
  },
  {
    name: 'request is open',
    refuse: ({ requestState }) =>
      OPEN_STATES.includes(requestState) ? null : no('REQUEST_CLOSED', `request is ${requestState}`),
  },
  {
    name: 'one effect',
    refuse: ({ consumedBefore }) =>
      consumedBefore ? no('EFFECT_EXISTS', 'this request has used up a capability before') : null,
  },
  {
    name: 'plan',
    refuse: ({ content, approvedPlan, freshPlan }, { gateMs }) => {
      const isOn = (plan: Claims<'plan'>) =>
        plan.requestId === content.requestId &&
        plan.revision === content.revision &&
        plan.requestDigest === requestDigestOf(content) &&
        plan.target === targetNameOf(content);
      if (!isOn(approvedPlan) || !isOn(freshPlan))
        return no('DIGEST_MISMATCH', 'a plan is of another request');
      if (freshPlan.planHash !== approvedPlan.planHash)
        return no('PLAN_CHANGED', 'what would change is not what was approved');
      const ageS = gateMs / 1_000 - freshPlan.iat;
      return ageS <= PLAN_AGE_MAX_S ? null : no('PLAN_STALE', `second plan is over ${PLAN_AGE_MAX_S} s old`);
    },
  },
  {
    name: 'effect class',
    // Relayed votes are the people domain's word: they carry nothing that cannot be taken back.
    refuse: ({ manifest, content, approvedBody }) => {
      if (manifest.name !== content.action || manifest.schemaVersion !== content.schemaVersion)
        return no('UNKNOWN_ACTION', 'action manifest knows another version of this action');
      return floorIn({ manifest, approvedBody }).personal === 0
        ? null
        : no('STEP_UP_UNAVAILABLE', `a ${manifest.effectClass} action needs personal votes`);
    },
  },
  {
    name: 'policy',
    refuse: ({ policy, capability }) => {
      if (policy.decision === 'deny')
        return no(policy.code ?? 'POLICY_DENIED', policy.reasons.join('; ') || 'policy denies');
      return policy.policyDigest === capability.policyDigest
        ? null
        : no('POLICY_VERSION', 'capability was minted under another policy than the active one');
    },
  },
  {
    name: 'quorum',
    refuse: (facts, now) => {
      const counted = tallyOf(facts, now);
      switch (counted.kind) {
        case 'approved':
          return null;
        case 'denied':
          return no('DENIED', `denied by ${counted.by}`);
        case 'open':
          return no('APPROVAL_MISSING', `expected ${counted.needed} votes that count, got ${counted.have}`);
      }
    },
  },
  {
    name: 'relayed budget',
    refuse: ({ relayed, votes }) =>
      votes.length === 0 || relayed.lastHour < relayed.perHourMax
        ? null
        : no('RATE_LIMITED', `expected at most ${relayed.perHourMax} relayed approvals an hour`),
  },
];

/** What policy asks, and never less than the floor in code (R4). */
export function quorumOf(facts: Pick<ConsumeFacts, 'policy' | 'manifest' | 'approvedBody'>): number {
  return Math.max(facts.policy.quorum, floorTotal(floorIn(facts)));
}

/** Of the class, and one vote more for what action or plan could do besides. */
function floorIn({ manifest, approvedBody }: Pick<ConsumeFacts, 'manifest' | 'approvedBody'>): Floor {
  return floorOf(manifest.effectClass, overshootOf(manifest, approvedBody).length);
}

/** Distinct persons, entitled now, outside the requester's chain, on this digest and this policy; a no wins. */
function tallyOf(facts: ConsumeFacts, now: ConsumeMoment): Tally {
  const { content, capability, approvedPlan, votes, policy, directory } = facts;
  return tally({
    votes,
    request: {
      requestId: content.requestId,
      revision: content.revision,
      digest: digestOf(content, approvedPlan.planHash),
      agent: capability.client_id,
      sub: content.sub,
      act: content.act,
    },
    quorum: quorumOf(facts),
    groups: policy.groups,
    policyDigest: policy.policyDigest,
    settings: directory,
    nowS: latest(now) / 1_000,
  });
}

/** The later of both clocks: a deadline that either has passed is over. */
function latest({ gateMs, databaseMs }: ConsumeMoment): number {
  return Math.max(gateMs, databaseMs);
}
