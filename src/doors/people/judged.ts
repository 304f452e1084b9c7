import { z } from 'zod';
import { type PlanBody, planBodySchema } from '../../action/define.ts';
import type { ActionManifest } from '../../action/manifest.ts';
import { digestOf, type RequestContent } from '../../action/request.ts';
import { canonicalText, sha256Base64url } from '../../canonical.ts';
import type { Database } from '../../database/pool.ts';
import { readContent } from '../../database/request-content.ts';
import type { RequestRow } from '../../database/requests.ts';
import { type Electorate, groupsOf } from '../../quorum/electorate.ts';
import { Refusal } from '../../refusal.ts';
import { type Card, renderCard } from './card.ts';
import type { PeopleDoor } from './door.ts';

/**
 * A request as people judge it: read again from the stored texts that its digests cover, because a row's columns are
 * derived and prove nothing.
 */
export type Judged = {
  row: RequestRow;
  content: RequestContent;
  manifest: ActionManifest;
  plan: PlanBody;
  planHash: string;
  digest: string;
};

/** @param planned a plan's stored text and the hash that it must have. */
export function readJudged(
  door: Pick<PeopleDoor, 'manifests'>,
  row: RequestRow,
  planned: { body: string; plan_hash: string },
): Judged {
  const content = readContent(row);
  const manifest = door.manifests.find(content.action);
  if (manifest.schemaVersion !== content.schemaVersion) {
    throw new Refusal('UNKNOWN_ACTION', `${content.action} is known in another version than was asked for`);
  }
  if (sha256Base64url(planned.body) !== planned.plan_hash) throw differs('plan', 'its hash');
  const digest = digestOf(content, planned.plan_hash);
  return { row, content, manifest, plan: readPlan(planned.body), planHash: planned.plan_hash, digest };
}

/** What counts of an ask besides the request: who is asked, how many, until when. */
export type Terms = { quorum: number; groups: readonly string[]; expiresAt: Date };

export function cardOf(door: Pick<PeopleDoor, 'settings'>, judged: Judged, terms: Terms): Card {
  const { settings } = door;
  const { row, content, manifest, plan, digest } = judged;
  const owner = settings.workloads.find(({ agent }) => agent === row.agent)?.owner;
  return renderCard({
    content,
    agent: row.agent,
    owner: owner === undefined ? 'nobody' : nameOf(door, owner),
    manifest,
    plan,
    digest,
    quorum: terms.quorum,
    groups: askedGroups(door, electorateOf(door, judged, terms.groups)),
    expiresAt: terms.expiresAt,
    mode: settings.deployment.mode,
    justification: row.justification,
  });
}

export function electorateOf(
  { settings }: Pick<PeopleDoor, 'settings'>,
  { row, content }: Pick<Judged, 'row' | 'content'>,
  groups: readonly string[],
): Electorate {
  return { directory: settings, requester: { agent: row.agent, sub: content.sub, act: content.act }, groups };
}

export function nameOf({ settings }: Pick<PeopleDoor, 'settings'>, person: string): string {
  return settings.people.find(({ id }) => id === person)?.name ?? person;
}

function readPlan(body: string): PlanBody {
  return parseStored('plan', () => {
    const plan = planBodySchema.parse(JSON.parse(body));
    if (canonicalText(plan) !== body) throw new TypeError('expected the RFC 8785 text of a plan');
    return plan;
  });
}

function askedGroups(door: Pick<PeopleDoor, 'settings'>, electorate: Electorate) {
  return electorate.groups.map((id) => {
    const members = door.settings.people.filter(
      (person) => groupsOf(person.id, { ...electorate, groups: [id] }).length > 0,
    );
    return { id, members: members.map(({ name }) => name) };
  });
}

const planSchema = z.object({ body: z.string(), plan_hash: z.string() });

/** The very plan that an ask was about; there may be newer ones. */
export async function findAskedPlan(
  database: Database,
  ask: { requestId: string; revision: number; planHash: string },
): Promise<z.infer<typeof planSchema>> {
  const [plan] = await database.rows(
    planSchema,
    `select body, plan_hash from firebreak.plan
     where request_id = $1 and revision = $2 and plan_hash = $3 order by id limit 1`,
    [ask.requestId, ask.revision, ask.planHash],
  );
  if (plan === undefined) throw differs('plan', 'what was asked');
  return plan;
}

function parseStored<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new Refusal('DIGEST_MISMATCH', `stored ${what} has another form than its digest covers`, { cause });
  }
}

function differs(what: string, from: string): Refusal {
  return new Refusal('DIGEST_MISMATCH', `stored ${what} differs from ${from}`);
}
