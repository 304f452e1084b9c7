import { z } from 'zod';
import { type PlanBody, planBodySchema } from '../action/define.ts';
import type { ActionManifest, ActionManifests } from '../action/manifest.ts';
import { type RequestContent, requestDigestOf, targetNameOf } from '../action/request.ts';
import { sha256Base64url } from '../canonical.ts';
import type { Database } from '../database/pool.ts';
import { readContent } from '../database/request-content.ts';
import { type PlanRow, planRowSchema, type RequestRow } from '../database/requests.ts';
import { type SessionRow, storedSessionSchema } from '../database/sessions.ts';
import type { TrustedKeys } from '../identity/manifest.ts';
import { verify } from '../identity/verify.ts';
import { Refusal } from '../refusal.ts';

/** What a decision is about, read raw and verified here: columns are derived and prove nothing. */
export type Subject = {
  content: RequestContent;
  agent: string;
  session: SessionRow;
  manifest: ActionManifest;
  plan: (Pick<PlanBody, 'counts' | 'overshoot'> & { planHash: string }) | null;
};

export type DecisionStage = 'submit' | 'plan' | 'mint';

export type SubjectReader = {
  database: Database;
  keys: TrustedKeys;
  manifests: ActionManifests;
  clock: () => number;
};

/** Refuses with DIGEST_MISMATCH what is not the text that it was hashed or signed as. */
export async function readSubject(
  own: SubjectReader,
  row: RequestRow,
  stage: DecisionStage,
): Promise<Subject> {
  const content = readContent(row);
  const stored = await readStored(own, content);
  const { session } = stored;
  checkSession(session, row, content);
  const manifest = own.manifests.find(content.action);
  const plan = stage === 'submit' ? null : await readPlan(own, content, stored.plan);
  return { content, agent: row.agent, session, manifest, plan };
}

const storedSchema = z.object({
  session: storedSessionSchema.nullable(),
  plan: planRowSchema.nullable(),
});

/** Its session and its newest plan, in one statement. */
async function readStored({ database }: SubjectReader, { session, requestId, revision }: RequestContent) {
  const [stored] = await database.rows(
    storedSchema,
    `select (select to_jsonb(s.*) from firebreak.session s where s.id = $1) as session,
       (select to_jsonb(p.*) from firebreak.plan p
        where p.request_id = $2 and p.revision = $3 order by p.id desc limit 1) as plan`,
    [session, requestId, revision],
  );
  if (stored === undefined || stored.session === null) {
    throw new Refusal('SESSION_UNKNOWN', 'no session stands behind this token');
  }
  return { session: stored.session, plan: stored.plan };
}

/** The broker's own record of the session: whose it is cannot be said by whoever filed the request. */
function checkSession(session: SessionRow, row: RequestRow, content: RequestContent): void {
  const same =
    session.agent === row.agent &&
    session.sub === content.sub &&
    session.tenant === content.tenant &&
    session.environment === content.environment;
  if (!same) throw new Refusal('CONTEXT_MISMATCH', 'request and session say different things');
}

/** The newest plan: the planner's signed word on exactly this request, and the stored body that it hashed. */
async function readPlan(
  own: SubjectReader,
  content: RequestContent,
  row: PlanRow | null,
): Promise<Subject['plan']> {
  if (row === null) throw new Refusal('PLAN_STALE', 'expected a plan, found none');
  const { planHash, ...signed } = await verify('plan', row.statement, {
    keys: own.keys,
    nowS: Math.floor(own.clock() / 1_000),
    code: 'DIGEST_MISMATCH',
  });
  const body = parseStored('plan', () => planBodySchema.parse(JSON.parse(row.body)));
  const same =
    signed.requestId === content.requestId &&
    signed.revision === content.revision &&
    signed.requestDigest === requestDigestOf(content) &&
    signed.target === targetNameOf(content) &&
    planHash === row.plan_hash &&
    planHash === sha256Base64url(row.body) &&
    sameCounts(signed.counts, body);
  if (!same) throw differs('plan', 'its statement says');
  return { planHash, counts: signed.counts, overshoot: body.overshoot };
}

function sameCounts(signed: Record<string, number>, { counts }: PlanBody): boolean {
  const names = Object.keys(signed);
  return names.length === Object.keys(counts).length && names.every((name) => signed[name] === counts[name]);
}

function parseStored<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new Refusal('DIGEST_MISMATCH', `stored ${what} has another form than its digest covers`, { cause });
  }
}

function differs(what: string, than: string): Refusal {
  return new Refusal('DIGEST_MISMATCH', `stored ${what} is not what ${than}`);
}
