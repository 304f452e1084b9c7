import { z } from 'zod';
import type { Database } from '../database/pool.ts';
import { storedRequestSchema } from '../database/requests.ts';
import { storedSessionSchema } from '../database/sessions.ts';
import type { Claims } from '../identity/claims.ts';
import { Refusal } from '../refusal.ts';

const planSchema = z.object({ body: z.string(), statement: z.string() });

/** A use of this very capability, and whether its act has ended. */
const consumptionSchema = z.object({
  jkt: z.string(),
  statement: z.string(),
  votes: z.array(z.string()),
  receipt: z.json(),
  settled: z.boolean(),
});

const storedSchema = z.object({
  before: consumptionSchema.nullable(),
  request: storedRequestSchema,
  session: storedSessionSchema.nullable(),
  plan: planSchema.nullable(),
  votes: z.array(z.string()),
  consumed: z.boolean(),
  relayed: z.int(),
  now: z.date(),
});

/**
 * One statement, one snapshot, taken after the locks were: a use of this capability before; the request; its session;
 * the plan that the capability names; all votes of the request, so that a no on this digest cannot be left out; whether
 * its effect key was used; consumptions by relayed votes in the last sixty minutes of its tenant and environment; the
 * database's clock.
 */
const STORED = `
  select
    (select to_jsonb(c.*) || jsonb_build_object('settled', exists (select from firebreak.outcome o
        where o.effect_key = c.effect_key and o.fence = c.fence))
     from firebreak.consumption c where c.iss = $4 and c.jti = $5) as before,
    to_jsonb(r.*) as request, to_jsonb(s.*) as session,
    (select to_jsonb(p.*) from firebreak.plan p
     where p.request_id = r.id and p.revision = $2 and p.plan_hash = $3 order by p.id limit 1) as plan,
    array(select v.statement from firebreak.vote v where v.request_id = r.id order by v.id) as votes,
    exists (select from firebreak.consumption c where c.effect_key = r.id) as consumed,
    (select count(*)::int from firebreak.consumption c join firebreak.request o on o.id = c.effect_key
     where o.tenant = r.tenant and o.environment = r.environment and cardinality(c.votes) > 0
       and c.consumed_at > clock_timestamp() - interval '1 hour') as relayed,
    clock_timestamp() as now
  from firebreak.request r left join firebreak.session s on s.id = r.session_id
  where r.id = $1`;

export type Stored = Awaited<ReturnType<typeof readStored>>;

export async function readStored(tx: Database, capability: Claims<'capability'>) {
  const { authorization_details, planHash, iss, jti } = capability;
  const [detail] = authorization_details;
  const values = [detail?.requestId, detail?.revision, planHash, iss, jti];
  const [stored] = await tx.rows(storedSchema, STORED, values);
  if (stored === undefined) {
    throw new Refusal('UNKNOWN_REQUEST', `no request is called ${detail?.requestId ?? ''}`);
  }
  const { request, session, plan, ...rest } = stored;
  if (session === null) throw new Refusal('SESSION_UNKNOWN', 'no session stands behind this token');
  if (plan === null) throw new Refusal('DIGEST_MISMATCH', 'no such plan was made for this request');
  return { row: request, session, plan, ...rest };
}
