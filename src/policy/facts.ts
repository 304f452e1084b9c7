import { z } from 'zod';
import { effectClasses, type PlanBody } from '../action/define.ts';
import type { ActionManifest } from '../action/manifest.ts';
import { overshootOf } from '../action/overshoot.ts';
import { type RequestContent, targetNameOf } from '../action/request.ts';
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

export type PolicyQuestion = {
  stage: PolicyStage;
  content: RequestContent;
  /** Of the request's row, which is the session's agent and the capability's `client_id`. */
  agent: string;
  /** What the session is for. */
  purpose: string;
  /** Null before there is one. */
  plan: Pick<PlanBody, 'counts' | 'overshoot'> | null;
  manifest: ActionManifest;
  settings: Pick<Settings, 'workloads' | 'targets'>;
};

/** Throws POLICY_ERROR where a fact is missing or two sources differ; callers take that for a denial. */
export function policyFactsOf(question: PolicyQuestion): PolicyFacts {
  const { content, stage, plan, purpose, manifest } = question;
  checkAction(question);
  checkActor(question);
  const workload = workloadOf(question);
  const { name, kind, tenant, environment, sensitivity } = targetOf(question);
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
      overshootCount: overshootOf(manifest, plan).length,
    },
    target: { name, kind, tenant, environment, sensitivity },
    resource: content.resource,
    counts: plan?.counts ?? null,
  };
}

function checkAction({ content, manifest }: PolicyQuestion): void {
  if (manifest.name !== content.action || manifest.schemaVersion !== content.schemaVersion) {
    throw differs(
      `action ${manifest.name} version ${manifest.schemaVersion}`,
      `${content.action} version ${content.schemaVersion}`,
    );
  }
}

/** The row's agent is a derived column: what the digest covers must name the same one. */
function checkActor({ content, agent }: PolicyQuestion): void {
  const actor = content.act?.sub ?? content.sub;
  if (actor !== `agent:${agent}`) throw differs(`a request of agent:${agent}`, actor);
}

/** An agent may have several workloads in one place; the riskiest that has this purpose is taken. */
function workloadOf({ content, agent, purpose, settings }: PolicyQuestion): Workload {
  const [riskiest] = settings.workloads
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

/** Where a target stands is for policy to judge; that it is one of the action's kind is a fact. */
function targetOf({ content, settings, manifest }: PolicyQuestion): Target {
  const name = targetNameOf(content);
  const target = settings.targets.find((candidate) => candidate.name === name);
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
