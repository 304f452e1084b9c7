import {
  type AuthorizationAnswer,
  type Context,
  type Entities,
  statefulIsAuthorized,
  type TypeAndId,
} from '@cedar-policy/cedar-wasm/nodejs';
import type { PolicyFacts } from './facts.ts';

/** What Cedar says of facts, with its one trap closed. */
export type Evaluation =
  | { kind: 'permitted'; by: string[] }
  /** `by` is empty where no permit met the request. */
  | { kind: 'refused'; by: string[] }
  | { kind: 'failed'; by: string[]; message: string };

export const NAMESPACE = 'Firebreak';

/** @param digest the bundle that was prepared under this name. */
export function evaluate(digest: string, facts: PolicyFacts): Evaluation {
  try {
    const call = { ...callOf(facts), preparsedSchemaName: digest, preparsedPolicySetId: digest };
    return evaluationOf(statefulIsAuthorized({ ...call, validateRequest: true }));
  } catch (error) {
    // The binding throws for data that it cannot carry over. Nobody knows then what policy would have said.
    return {
      kind: 'failed',
      by: [],
      message: error instanceof Error ? error.message : 'evaluation broke off',
    };
  }
}

function evaluationOf(answer: AuthorizationAnswer): Evaluation {
  if (answer.type === 'failure') {
    return { kind: 'failed', by: [], message: answer.errors.map(({ message }) => message).join('; ') };
  }
  const { decision, diagnostics } = answer.response;
  // Cedar skips a policy that fails at run time: a failing forbid would leave the request allowed.
  if (diagnostics.errors.length > 0) {
    return {
      kind: 'failed',
      by: diagnostics.errors.map(({ policyId }) => policyId).sort(),
      message: diagnostics.errors.map(({ error }) => error.message).join('; '),
    };
  }
  const by = diagnostics.reason.toSorted();
  return decision === 'allow' ? { kind: 'permitted', by } : { kind: 'refused', by };
}

type Call = {
  principal: TypeAndId;
  action: TypeAndId;
  resource: TypeAndId;
  context: Context;
  entities: Entities;
};

/** Facts in Cedar's words: the schema of `policies` names each of them. */
export function callOf({ stage, agent, action, target, resource, counts }: PolicyFacts): Call {
  const { id, agentClass, ...agentFacts } = agent;
  const { name, ...targetFacts } = target;
  const principal = entity('Agent', id);
  const touched = entity('Resource', resource);
  const { effectClass, overshootCount } = action;
  const context = { stage, effectClass, overshootCount, planned: counts !== null };
  return {
    principal,
    action: entity('Action', action.name),
    resource: touched,
    context: counts === null ? context : { ...context, counts },
    entities: [
      { uid: principal, attrs: agentFacts, parents: [entity('AgentClass', agentClass)] },
      { uid: touched, attrs: targetFacts, parents: [entity('Target', name)] },
    ],
  };
}

function entity(type: string, id: string): TypeAndId {
  return { type: `${NAMESPACE}::${type}`, id };
}
