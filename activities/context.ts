import type { RequestRow } from '../src/database/requests.ts';
import type { Claims } from '../src/identity/claims.ts';
import { openContext } from '../src/identity/context-envelope.ts';
import type { TrustedKeys } from '../src/identity/manifest.ts';
import { verify } from '../src/identity/verify.ts';
import { Refusal } from '../src/refusal.ts';

type Trust = { keys: TrustedKeys; contextKey: Uint8Array; nowS: number };

/**
 * The context that this hop was called with, checked where power is used: stripped, expired, or of another request,
 * the hop ends here. The envelope itself goes on to the broker, who reads the session behind it.
 */
export async function requireContext(
  envelope: string | undefined,
  row: RequestRow,
  { keys, contextKey, nowS }: Trust,
): Promise<Claims<'context'>> {
  if (envelope === undefined) throw new Refusal('CONTEXT_MISSING', 'activity was called without its context');
  const claims = await verify('context', await openContext(envelope, contextKey), {
    keys,
    nowS,
    audience: 'firebreak',
    code: 'CONTEXT_MISMATCH',
    expiredCode: 'SESSION_EXPIRED',
  });
  const same =
    claims.requestId === row.id &&
    claims.revision === row.revision &&
    claims.requestDigest === row.request_digest &&
    claims.sid === row.session_id &&
    claims.tenant === row.tenant &&
    claims.environment === row.environment;
  if (!same) throw new Refusal('CONTEXT_MISMATCH', 'context is of another request');
  return claims;
}
