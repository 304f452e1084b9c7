import { randomUUID } from 'node:crypto';
import { type ActionDefinition, type PlanBody, planBodySchema } from '../src/action/define.ts';
import { type RequestContent, targetNameOf } from '../src/action/request.ts';
import { canonicalText, sha256Base64url } from '../src/canonical.ts';
import { readContent } from '../src/database/request-content.ts';
import type { RequestRow } from '../src/database/requests.ts';
import type { Claims } from '../src/identity/claims.ts';
import type { SigningKey } from '../src/identity/keys.ts';
import { sign } from '../src/identity/verify.ts';
import { Refusal } from '../src/refusal.ts';
import type { Settings, Target } from '../src/settings.ts';
import { openReader } from './postgres/reader.ts';

/** The planner's work: what would change now, read by a login that may only select, and signed. */
export type Planner = {
  definitions: ReadonlyMap<string, ActionDefinition>;
  settings: Settings;
  /** Signs plan statements. */
  planKey: SigningKey;
  /** The planner's own login at a target; throws where it has none. */
  targetUrl(target: string): string;
  clock: () => number;
};

export type Planned = {
  claims: Claims<'plan'>;
  statement: string;
  plan: PlanBody;
  /** The RFC 8785 text whose hash is the plan's hash. */
  body: string;
  content: RequestContent;
  target: Target;
};

export async function planNow(planner: Planner, row: RequestRow): Promise<Planned> {
  const content = readContent(row);
  const target = targetOf(planner.settings, content);
  const plan = await readTarget(planner, content, target);
  const body = canonicalText(plan);
  const claims: Claims<'plan'> = {
    iss: planner.planKey.issuer,
    iat: Math.floor(planner.clock() / 1_000),
    jti: randomUUID(),
    requestId: content.requestId,
    revision: content.revision,
    requestDigest: row.request_digest,
    planHash: sha256Base64url(body),
    target: target.name,
    counts: plan.counts,
  };
  return { claims, statement: await sign(planner.planKey, 'plan', claims), plan, body, content, target };
}

/** The target of the request's own tenant and environment, by the configuration of this domain. */
function targetOf(settings: Settings, content: RequestContent): Target {
  const name = targetNameOf(content);
  const found = settings.targets.find(
    (target) =>
      target.name === name && target.tenant === content.tenant && target.environment === content.environment,
  );
  if (found === undefined)
    throw new Refusal('NOT_PERMITTED', `no target ${name} is configured for this tenant`);
  return found;
}

async function readTarget(planner: Planner, content: RequestContent, target: Target): Promise<PlanBody> {
  const definition = planner.definitions.get(content.action);
  if (definition === undefined || definition.schemaVersion !== content.schemaVersion) {
    throw new Refusal(
      'UNKNOWN_ACTION',
      `planner knows no ${content.action} of version ${content.schemaVersion}`,
    );
  }
  const input = definition.input.safeParse(content.input);
  if (!input.success || definition.target(input.data) !== target.name) {
    throw new Refusal('INVALID_INPUT', 'input is not of the form that the action defines');
  }
  const reader = await openReader(planner.targetUrl(target.name), target.name);
  try {
    return planBodySchema.parse(await definition.plan(input.data, reader));
  } finally {
    await reader.close();
  }
}
