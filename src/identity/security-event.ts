import { z } from 'zod';
import { Refusal } from '../refusal.ts';
import { parseUnambiguous } from './unambiguous-json.ts';
import { ANY_AUDIENCE, CLOCK_SKEW_S, type JwsKeys, verifyJws } from './verify.ts';

/**
 * A security event token of somebody else (RFC 8417; SSF 1.0, CAEP interoperability profile): RS256, exactly one
 * event. Its own shape keeps it apart from every access token: other `typ`, no `sub`, no `exp`. Members that
 * nobody here reads are the transmitter's business.
 */
const claimsSchema = z.looseObject({
  iss: z.string().min(1),
  jti: z.string().min(1).max(256),
  iat: z.int().min(0),
  aud: z.union([z.string(), z.array(z.string()).min(1).max(16)]),
  txn: z.string().optional(),
  sub_id: z.looseObject({ format: z.string() }),
  events: z
    .record(z.url(), z.record(z.string(), z.json()))
    .refine((events) => Object.keys(events).length === 1, 'expected one event'),
  sub: z.undefined().optional(),
  exp: z.undefined().optional(),
});
export type SecurityEvent = z.infer<typeof claimsSchema>;

export const SECURITY_EVENT_TYP = 'secevent+jwt';

type Expectation = {
  /** The keys of the one transmitter whose stream this is. */
  keys: JwsKeys;
  nowS: number;
  audience: string | typeof ANY_AUDIENCE;
};

export async function verifySecurityEvent(token: string, expected: Expectation): Promise<SecurityEvent> {
  const { header, payload } = await verifyJws(token, expected);
  if (header.alg !== 'RS256') throw new Refusal('INVALID_TOKEN', `expected alg RS256, got ${header.alg}`);
  if (header.typ !== SECURITY_EVENT_TYP)
    throw new Refusal('INVALID_TOKEN', `expected typ ${SECURITY_EVENT_TYP}`);
  const claims = parseClaims(payload);
  if (expected.audience !== ANY_AUDIENCE && ![claims.aud].flat().includes(expected.audience)) {
    throw new Refusal('INVALID_TOKEN', `expected aud ${expected.audience}`);
  }
  if (claims.iat > expected.nowS + CLOCK_SKEW_S) {
    throw new Refusal('INVALID_TOKEN', 'token was issued in the future');
  }
  return claims;
}

function parseClaims(payload: Uint8Array): SecurityEvent {
  try {
    return claimsSchema.parse(parseUnambiguous(payload));
  } catch (cause) {
    throw new Refusal('INVALID_TOKEN', 'expected the claims of a security event token (RFC 8417)', { cause });
  }
}
