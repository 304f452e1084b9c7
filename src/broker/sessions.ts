import { randomBytes, randomUUID } from 'node:crypto';
import type { Database } from '../database/pool.ts';
import { ACCESS_TOKEN_LIFETIME_S, type Claims } from '../identity/claims.ts';
import type { SigningKey } from '../identity/keys.ts';
import { sign } from '../identity/verify.ts';
import type { EntryFacts, EntryWriter } from '../ledger/entry.ts';
import { codeOf } from '../refusal.ts';
import type { Workload } from '../settings.ts';

/** How sessions begin: one durable row and its entry first, then the token that speaks for it. */
export type SessionOpener = {
  database: Database;
  writeEntry: EntryWriter;
  accessKey: SigningKey;
  /** The audience of access tokens: the agents' door. */
  origin: string;
  sessionMinutes: number;
  clock: () => number;
};

export type OpenedSession = { accessToken: string; expiresInS: number; sessionId: string };

const SESSION_ID_BYTES = 16;

/** @param held.jkt the key that the token is bound to from its first moment (RFC 9449 6). */
export async function openSession(
  own: SessionOpener,
  workload: Workload,
  held: { jkt: string; purpose: string },
): Promise<OpenedSession> {
  const nowS = Math.floor(own.clock() / 1_000);
  const claims = claimsOf(own, workload, { ...held, nowS });
  const entry = await own.writeEntry({ kind: 'session-opened', ...factsOf(workload), session: claims.sid });
  const session = {
    id: claims.sid,
    agent: workload.agent,
    agentClass: workload.agentClass,
    sub: claims.sub,
    owner: workload.owner,
    tenant: workload.tenant,
    environment: workload.environment,
    purpose: held.purpose,
    jkt: held.jkt,
    expiresAt: new Date((nowS + own.sessionMinutes * 60) * 1_000).toISOString(),
  };
  const accessToken = await sign(own.accessKey, 'access', claims);
  await own.database.run('select firebreak.open_session($1, $2)', [session, entry]);
  return { accessToken, expiresInS: claims.exp - nowS, sessionId: claims.sid };
}

/** Leaves a trace of what a known workload was refused; strangers leave none, or they could flood the ledger. */
export async function recordRefusal(own: SessionOpener, workload: Workload, error: unknown): Promise<void> {
  const entry = await own.writeEntry({
    kind: 'session-refused',
    ...factsOf(workload),
    code: codeOf(error),
  });
  await own.database.run('select firebreak.append_entry($1)', [entry]);
}

function subjectOf({ agent }: Workload): string {
  return `agent:${agent}`;
}

function factsOf(workload: Workload): Omit<EntryFacts, 'kind'> {
  const { agent, tenant, environment } = workload;
  return { actor: subjectOf(workload), delegatedActor: agent, subject: agent, tenant, environment };
}

type Held = { jkt: string; purpose: string; nowS: number };

/** An autonomous agent is `sub` itself and has no `act`: nobody delegated to it. */
function claimsOf(own: SessionOpener, workload: Workload, { jkt, purpose, nowS }: Held): Claims<'access'> {
  const { agent, agentClass, tenant, environment, risk } = workload;
  return {
    iss: own.accessKey.issuer,
    iat: nowS,
    exp: nowS + Math.min(ACCESS_TOKEN_LIFETIME_S, own.sessionMinutes * 60),
    jti: randomUUID(),
    aud: own.origin,
    sid: `ses_${randomBytes(SESSION_ID_BYTES).toString('base64url')}`,
    epoch: 0,
    sub: subjectOf(workload),
    client_id: agent,
    agentClass,
    tenant,
    environment,
    purpose,
    risk,
    scope: purpose,
    cnf: { jkt },
  };
}
