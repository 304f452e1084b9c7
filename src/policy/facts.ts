import { z } from 'zod';
import { effectClasses } from '../action/define.ts';
import type { ActionManifest } from '../action/manifest.ts';
import type { RequestContent } from '../action/request.ts';
import { Refusal } from '../refusal.ts';
import type { Settings, Target, Workload } from '../settings.ts';

/**
 * What policy may know of one request. Broker and gate both compute it by the function below, from the content that
 * the digest covers, the signed action manifest and the settings, so that both ask the same question.
 */
const word = z.string().min(1);
const risks = ['low', 'medium', 'high'] as const;

export const policyStages = ['submit', 'plan', 'mint', 'consume'] as const;
export type PolicyStage = (typeof policyStages)[number];

export const policyFactsSchema = z
  .strictObject({
    stage: z.enum(policyStages),
    requestId: word,
    agent: z.strictObject({
      id: word,
      agentClass: word,
      tenant: word,
      environment: word,
      purpose: word,
      risk: z.enum(risks),
      owner: word,
      sub: word,
    }),
    action: z.strictObject({
      name: word,
      effectClass: z.enum(effectClasses),
      overshootCount: z.int().min(0),
    }),
    target: z.strictObject({
      name: word,
      kind: word,
      tenant: word,
      environment: word,
      sensitivity: word,
    }),
    resource: word,
    /** Known after the plan. `z.int` ends at 2^53: beyond it JavaScript and Cedar would see different numbers. */
    counts: z.record(z.string(), z.int().min(0)).nullable(),
  })
  .refine(({ stage, counts }) => (stage === 'submit') === (counts === null), {
    path: ['counts'],
    message: 'expected counts after the plan and none before it',
  });
export type PolicyFacts = z.infer<typeof policyFactsSchema>;

export type Asked = {
  content: RequestContent;
  /** Of the session: the request's row at the broker, the capability's `client_id` at the gate. */
  agent: string;
  /** The target that the request's row names. */
  target: string;
  purpose: string;
  stage: PolicyStage;
  counts: Record<string, number> | null;
};

type Known = { settings: Pick<Settings, 'workloads' | 'targets'>; manifest: ActionManifest };

/** Throws POLICY_ERROR where a fact is missing or two sources differ; callers take that for a denial. */
export function policyFactsOf(asked: Asked, { settings, manifest }: Known): PolicyFacts {
  const { content, stage, counts, purpose } = asked;
  checkAction(content, manifest);
  checkActor(asked);
  const workload = workloadOf(asked, settings.workloads);
  const target = targetOf(asked, settings.targets, manifest);
  return {
    stage,
    requestId: content.requestId,
    agent: {
      id: workload.agent,
      agentClass: workload.agentClass,
      tenant: workload.tenant,
      environment: workload.environment,
      purpose,
      risk: workload.risk,
      owner: workload.owner,
      sub: content.sub,
    },
    action: {
      name: manifest.name,
      effectClass: manifest.effectClass,
      overshootCount: manifest.overshoot.length,
    },
    target,
    resource: content.resource,
    counts,
  };
}

function checkAction(content: RequestContent, manifest: ActionManifest): void {
  if (manifest.name !== content.action || manifest.schemaVersion !== content.schemaVersion) {
    throw differs(
      `action ${manifest.name} version ${manifest.schemaVersion}`,
      `${content.action} version ${content.schemaVersion}`,
    );
  }
}

/** The row's agent is a derived column: what the digest covers must name the same one. */
function checkActor({ content, agent }: Asked): void {
  const actor = content.act?.sub ?? content.sub;
  if (actor !== `agent:${agent}`) throw differs(`a request of agent:${agent}`, actor);
}

/** An agent may have several workloads in one place; the riskiest that has this purpose is taken. */
function workloadOf({ content, agent, purpose }: Asked, workloads: readonly Workload[]): Workload {
  const [riskiest] = workloads
    .filter((workload) => workload.agent === agent && workload.purposes.includes(purpose))
    .toSorted((one, other) => risks.indexOf(other.risk) - risks.indexOf(one.risk));
  if (riskiest === undefined) throw differs(`a workload of agent ${agent} with purpose ${purpose}`, 'none');
  if (riskiest.tenant !== content.tenant || riskiest.environment !== content.environment) {
    throw differs(
      `agent ${agent} in ${riskiest.tenant} ${riskiest.environment}`,
      `${content.tenant} ${content.environment}`,
    );
  }
  return riskiest;
}

/** Gate and broker run no action's code: a resource is `TARGET/THING`, and its first part must be the row's target. */
function targetOf(
  { content, target: name }: Asked,
  targets: readonly Target[],
  manifest: ActionManifest,
): Target {
  const [first = ''] = content.resource.split('/', 1);
  if (first !== name) throw differs(`a resource of target ${name}`, `one of ${first}`);
  const target = targets.find((candidate) => candidate.name === name);
  if (target === undefined) throw differs(`a configured target ${name}`, 'none');
  const kind: string = manifest.targetKind;
  if (target.kind !== kind) {
    throw differs(`a ${kind} target for ${manifest.name}`, target.kind);
  }
  return target;
}

function differs(expected: string, got: string): Refusal {
  return new Refusal('POLICY_ERROR', `expected ${expected}, got ${got}`);
}
