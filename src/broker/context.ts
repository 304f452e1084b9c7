import { randomUUID } from 'node:crypto';
import type { CallBody, CallReply } from '../call/table.ts';
import type { Database } from '../database/pool.ts';
import { checkSessionLive, findSession } from '../database/sessions.ts';
import type { Claims } from '../identity/claims.ts';
import { sealContext } from '../identity/context-envelope.ts';
import type { SigningKey } from '../identity/keys.ts';
import type { TrustedKeys } from '../identity/manifest.ts';
import { sign, verify } from '../identity/verify.ts';
import type { EntryWriter } from '../ledger/entry.ts';
import { Refusal } from '../refusal.ts';

/**
 * The context of one request, for its way through Temporal. The broker takes nobody's word: it verifies the agent's
 * token again and reads the session now. The token can only narrow (S7) and grants nothing.
 */
export type ContextIssuer = {
  database: Database;
  keys: TrustedKeys;
  writeEntry: EntryWriter;
  signingKey: SigningKey;
  /** `context.key`: broker, planner and executor hold it. */
  sealingKey: Uint8Array;
  /** The audience of access tokens. */
  origin: string;
  clock: () => number;
};

type ContextBody = CallBody<'broker', 'context'>;

export function createContextIssuer(
  own: ContextIssuer,
): (body: ContextBody) => Promise<CallReply<'broker', 'context'>> {
  return async (body) => {
    const nowMs = own.clock();
    const nowS = Math.floor(nowMs / 1_000);
    const access = await verify('access', body.accessToken, { keys: own.keys, nowS, audience: own.origin });
    const session = await findSession(own.database, access.sid);
    checkSessionLive(session, access, nowMs);
    const endS = Math.min(Math.floor(session.expires_at.getTime() / 1_000), body.expiresAtS);
    if (endS <= nowS) throw new Refusal('SESSION_EXPIRED', 'request would have expired before it began');
    const token = await sign(own.signingKey, 'context', {
      ...contextOf(access, body),
      iss: own.signingKey.issuer,
      iat: nowS,
      exp: endS,
      jti: randomUUID(),
    });
    const envelope = await sealContext(token, own.sealingKey);
    await own.database.run('select firebreak.append_entry($1)', [await entryOf(own, access, body)]);
    return { envelope };
  };
}

function contextOf(access: Claims<'access'>, { requestId, revision, requestDigest, txn }: ContextBody) {
  const { sid, epoch, sub, act, tenant, environment, scope } = access;
  const session = { sid, epoch, sub, tenant, environment, scope, ...(act === undefined ? {} : { act }) };
  return { ...session, requestId, revision, requestDigest, txn, aud: 'firebreak' as const };
}

async function entryOf(own: ContextIssuer, access: Claims<'access'>, body: ContextBody): Promise<string> {
  return await own.writeEntry({
    kind: 'context-issued',
    actor: access.sub,
    delegatedActor: access.act?.sub ?? access.client_id,
    subject: access.client_id,
    session: access.sid,
    tenant: access.tenant,
    environment: access.environment,
    requestId: body.requestId,
    revision: body.revision,
    requestDigest: body.requestDigest,
    traceId: body.txn,
  });
}
