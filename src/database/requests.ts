import { z } from 'zod';
import { effectClasses } from '../action/define.ts';
import { Refusal } from '../refusal.ts';
import type { Database } from './pool.ts';

export const requestStates = [
  'accepted',
  'waiting',
  'performing',
  'done',
  'denied',
  'expired',
  'cancelled',
  'failed',
  'indeterminate',
] as const;
export type RequestState = (typeof requestStates)[number];

/** States that nothing leaves any more (S10). */
export const finalStates: readonly RequestState[] = ['done', 'denied', 'expired', 'cancelled', 'failed'];

export const requestRowSchema = z.object({
  id: z.string(),
  revision: z.int(),
  content: z.string(),
  request_digest: z.string(),
  tenant: z.string(),
  environment: z.string(),
  session_id: z.string(),
  agent: z.string(),
  action: z.string(),
  target: z.string(),
  resource: z.string(),
  effect_class: z.enum(effectClasses),
  justification: z.string().nullable(),
  context_envelope: z.string(),
  trace_id: z.string(),
  body_hash: z.string(),
  created_at: z.date(),
  expires_at: z.date(),
  state: z.enum(requestStates),
  state_detail: z.record(z.string(), z.json()),
  state_at: z.date(),
});
export type RequestRow = z.infer<typeof requestRowSchema>;
export const REQUEST_COLUMNS = Object.keys(requestRowSchema.shape).join(', ');

/** The same row where it comes as JSON, for statements that read it among other things. */
export const storedRequestSchema = requestRowSchema.extend({
  created_at: z.coerce.date(),
  expires_at: z.coerce.date(),
  state_at: z.coerce.date(),
});

export async function findRequest(database: Database, id: string): Promise<RequestRow> {
  const text = `select ${REQUEST_COLUMNS} from firebreak.request where id = $1`;
  const [row] = await database.rows(requestRowSchema, text, [id]);
  if (row === undefined) throw new Refusal('UNKNOWN_REQUEST', `no request is called ${id}`);
  return row;
}

export const planRowSchema = z.object({ plan_hash: z.string(), body: z.string(), statement: z.string() });
export type PlanRow = z.infer<typeof planRowSchema>;

/** The newest plan of a revision: the one that stands on the card. */
export async function findPlan(
  database: Database,
  request: { requestId: string; revision: number },
): Promise<PlanRow | undefined> {
  const [row] = await database.rows(
    planRowSchema,
    `select plan_hash, body, statement from firebreak.plan
     where request_id = $1 and revision = $2 order by id desc limit 1`,
    [request.requestId, request.revision],
  );
  return row;
}

const decisionRowSchema = z.object({ stage: z.string(), statement: z.string() });

/** The newest decision of a stage. */
export async function findDecision(
  database: Database,
  request: { requestId: string; revision: number; stage: string },
): Promise<string | undefined> {
  const [row] = await database.rows(
    decisionRowSchema,
    `select stage, statement from firebreak.decision
     where request_id = $1 and revision = $2 and stage = $3 order by id desc limit 1`,
    [request.requestId, request.revision, request.stage],
  );
  return row?.statement;
}
