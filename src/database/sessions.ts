import { z } from 'zod';
import { Refusal } from '../refusal.ts';
import type { Database } from './pool.ts';

const sessionRowSchema = z.object({
  id: z.string(),
  agent: z.string(),
  agent_class: z.string(),
  sub: z.string(),
  owner: z.string(),
  tenant: z.string(),
  environment: z.string(),
  purpose: z.string(),
  jkt: z.string(),
  epoch: z.int(),
  expires_at: z.date(),
  revoked_at: z.date().nullable(),
});
export type SessionRow = z.infer<typeof sessionRowSchema>;
const COLUMNS = Object.keys(sessionRowSchema.shape).join(', ');

/** The same row where it comes as JSON, for statements that read it among other things. */
export const storedSessionSchema = sessionRowSchema.extend({
  expires_at: z.coerce.date(),
  // A null must stay one: coerced, it would be the year 1970.
  revoked_at: z.coerce.date().nullable(),
});

export async function findSession(database: Database, id: string): Promise<SessionRow> {
  const text = `select ${COLUMNS} from firebreak.session where id = $1`;
  const [row] = await database.rows(sessionRowSchema, text, [id]);
  if (row === undefined) throw new Refusal('SESSION_UNKNOWN', 'no session stands behind this token');
  return row;
}

type SessionClaims = {
  sid: string;
  epoch: number;
  sub: string;
  client_id: string;
  tenant: string;
  environment: string;
  cnf: { jkt: string };
};

/** A token is only as alive as its session, read now: not revoked, same generation, same facts (S5, S7). */
export function checkSessionLive(session: SessionRow, claims: SessionClaims, nowMs: number): void {
  if (session.revoked_at !== null || session.epoch !== claims.epoch) {
    throw new Refusal('SESSION_REVOKED', 'session was revoked');
  }
  if (session.expires_at.getTime() <= nowMs) throw new Refusal('SESSION_EXPIRED', 'session has expired');
  const same =
    session.id === claims.sid &&
    session.sub === claims.sub &&
    session.agent === claims.client_id &&
    session.tenant === claims.tenant &&
    session.environment === claims.environment &&
    session.jkt === claims.cnf.jkt;
  if (!same) throw new Refusal('CONTEXT_MISMATCH', 'token and session say different things');
}
