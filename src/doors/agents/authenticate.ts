import type { FastifyRequest } from 'fastify';
import type { Database } from '../../database/pool.ts';
import { rememberProof } from '../../database/proofs.ts';
import { checkSessionLive, findSession, type SessionRow } from '../../database/sessions.ts';
import type { Claims } from '../../identity/claims.ts';
import { verifyProof } from '../../identity/dpop.ts';
import type { TrustedKeys } from '../../identity/manifest.ts';
import { verify } from '../../identity/verify.ts';
import { Refusal } from '../../refusal.ts';

/**
 * Who is at the door: an access token of the broker, held by the key that it is bound to (RFC 9449), of a session
 * that is alive now. Nothing of a body is read before that.
 */
export type Agent = { token: string; claims: Claims<'access'>; session: SessionRow };

export type Authentication = {
  database: Database;
  keys: TrustedKeys;
  /** What this door is configured to be called; a Host header is the caller's word. */
  origin: string;
  clock: () => number;
};

export async function authenticate(request: FastifyRequest, own: Authentication): Promise<Agent> {
  const nowMs = own.clock();
  const nowS = Math.floor(nowMs / 1_000);
  const token = accessTokenOf(request);
  const claims = await verify('access', token, { keys: own.keys, nowS, audience: own.origin });
  const proof = await verifyProof(headerValues(request, 'dpop')[0], {
    method: request.method,
    url: `${new URL(own.origin).origin}${pathOf(request)}`,
    accessToken: token,
    nowS,
  });
  if (proof.jkt !== claims.cnf.jkt) {
    throw new Refusal('INVALID_DPOP_PROOF', 'proof is by another key than the one the token is bound to');
  }
  const session = await findSession(own.database, claims.sid);
  checkSessionLive(session, claims, nowMs);
  await rememberProof(own.database, proof);
  return { token, claims, session };
}

function accessTokenOf(request: FastifyRequest): string {
  // RFC 9449 4.3 (1), RFC 9110 11.6.2: one of each; Node would silently take the first or join them.
  if (headerValues(request, 'dpop').length > 1) {
    throw new Refusal('INVALID_DPOP_PROOF', 'expected exactly one DPoP header');
  }
  const [value = '', ...more] = headerValues(request, 'authorization');
  const token = /^DPoP +([A-Za-z0-9._-]+)$/i.exec(value)?.[1];
  if (token === undefined || more.length > 0) {
    throw new Refusal('UNAUTHENTICATED', 'expected one Authorization header: DPoP and an access token');
  }
  return token;
}

export function headerValues({ raw }: FastifyRequest, name: string): string[] {
  return raw.rawHeaders.filter((_, at) => at % 2 === 1 && raw.rawHeaders[at - 1]?.toLowerCase() === name);
}

function pathOf({ url }: FastifyRequest): string {
  return url.split('?', 1)[0] ?? url;
}
