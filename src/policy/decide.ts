import { floorOf, floorTotal } from '../quorum/floor.ts';
import type { RefusalCode } from '../refusal.ts';
import { type Evaluation, evaluate } from './evaluate.ts';
import { type PolicyFacts, policyFactsSchema } from './facts.ts';
import { QUORUM_MAX, type Rule } from './rule.ts';

/**
 * The policy decision. Unknown means no: no permit, a failing rule, a missing fact are denials, and what the floor of
 * the effect class asks for stands in code, where no policy reaches it (R4).
 */
export type PolicyDecision = {
  decision: 'allow' | 'deny' | 'requestable';
  /** Votes needed; never below the floor of the effect class. */
  quorum: number;
  /** Members of these may vote; empty for a denial. */
  groups: string[];
  /** Ids of the policies that decided. */
  rules: string[];
  /** Sentences for people, at least one; for a denial they say what is missing. */
  reasons: string[];
  policyDigest: string;
  /** Why not, where the decision is deny. */
  code: RefusalCode | null;
};

export type Policy = {
  digest: string;
  /** Never throws: what cannot be decided is denied. */
  decide(facts: PolicyFacts): PolicyDecision;
};

const REASON_CHARACTERS_MAX = 500;
const MISSING_SHOWN_MAX = 5;

type Own = { digest: string; rules: ReadonlyMap<string, Rule> };

export function decideBy(own: Own, unchecked: PolicyFacts): PolicyDecision {
  const parsed = policyFactsSchema.safeParse(unchecked);
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    return denial(own, QUORUM_MAX, { code: 'POLICY_ERROR', rules: [], reasons: [faults.join('; ')] });
  }
  const facts = parsed.data;
  const floor = floorTotal(floorOf(facts.action.effectClass, facts.action.overshootCount));
  const evaluation = evaluate(own.digest, facts);
  return evaluation.kind === 'permitted'
    ? oblige(own, floor, strictestOf(own, evaluation.by))
    : denial(own, floor, refusalOf(own, facts, evaluation));
}

/** The permits with the largest quorum. */
function strictestOf({ rules }: Own, ids: readonly string[]): Rule[] {
  const permits = ids.flatMap((id) => rules.get(id) ?? []);
  const quorum = Math.max(...permits.map((permit) => permit.quorum));
  return permits.filter((permit) => permit.quorum === quorum);
}

function oblige(own: Own, floor: number, strictest: readonly Rule[]): PolicyDecision {
  const [first] = strictest;
  const named = strictest.map(({ id }) => id);
  if (first === undefined) {
    return denial(own, floor, { code: 'POLICY_ERROR', rules: [], reasons: ['no deciding policy was named'] });
  }
  const quorum = Math.max(first.quorum, floor);
  const groups = first.groups.filter((group) => strictest.every((rule) => rule.groups.includes(group)));
  if (quorum > 0 && groups.length === 0) {
    const reasons = [`${quorum} votes are needed, and ${named.join(', ')} name no group that may give them`];
    return denial(own, floor, { code: 'QUORUM_UNREACHABLE', rules: named, reasons });
  }
  return {
    decision: quorum === 0 ? 'allow' : 'requestable',
    quorum,
    groups: quorum === 0 ? [] : groups,
    rules: named,
    reasons: strictest.map(({ reason }) => reason),
    policyDigest: own.digest,
    code: null,
  };
}

type No = { code: RefusalCode; rules: string[]; reasons: string[] };

function refusalOf(own: Own, facts: PolicyFacts, evaluation: Exclude<Evaluation, { kind: 'permitted' }>): No {
  if (evaluation.kind === 'failed') {
    const reasons = [`policy could not be evaluated: ${evaluation.message}`];
    return { code: 'POLICY_ERROR', rules: evaluation.by, reasons };
  }
  const reasons =
    evaluation.by.length === 0
      ? missingOf(own, facts)
      : evaluation.by.map((id) => own.rules.get(id)?.reason ?? id);
  return { code: 'POLICY_DENIED', rules: evaluation.by, reasons };
}

/** A default denial names no rule: say what was asked, and what would have been permitted of this action. */
function missingOf({ rules }: Own, { agent, action, target }: PolicyFacts): string[] {
  const who = `agent ${agent.id} (class ${agent.agentClass}, ${agent.tenant} ${agent.environment}, purpose ${agent.purpose})`;
  const what = `${action.name} on ${target.name} (${target.tenant} ${target.environment}, ${target.sensitivity})`;
  const permits = [...rules.values()].filter(
    ({ effect, actions }) => effect === 'permit' && actions.includes(action.name),
  );
  const known = permits.slice(0, MISSING_SHOWN_MAX).map(({ reason }) => `what is permitted: ${reason}`);
  const nothing = `no policy permits ${action.name} to anybody`;
  return [`no policy permits ${who} to do ${what}`, ...(known.length === 0 ? [nothing] : known)];
}

function denial({ digest }: Own, quorum: number, { code, rules, reasons }: No): PolicyDecision {
  return {
    decision: 'deny',
    quorum,
    groups: [],
    rules,
    // By code points: half a character has no canonical form and could not be signed.
    reasons: reasons.map((reason) => Array.from(reason).slice(0, REASON_CHARACTERS_MAX).join('')),
    policyDigest: digest,
    code,
  };
}
