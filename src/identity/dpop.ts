import { type KeyObject, randomUUID } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';
import { z } from 'zod';
import { sha256Base64url } from '../canonical.ts';
import { Refusal } from '../refusal.ts';
import { splitCompact } from './compact-jws.ts';
import { signCompact, verifyCompact } from './es256.ts';
import { importPublic, type PublicJwk, publicJwkSchema } from './keys.ts';
import { parseUnambiguous } from './unambiguous-json.ts';
import { CLOCK_SKEW_S } from './verify.ts';

/** How old a proof may be, seconds; its `jti` is remembered at least as long (RFC 9449 11.1). */
export const PROOF_AGE_MAX_S = 60;

const headerSchema = z.strictObject({
  typ: z.literal('dpop+jwt'),
  alg: z.literal('ES256'),
  jwk: publicJwkSchema,
});
const claimsSchema = z.strictObject({
  jti: z.string().min(16).max(128),
  htm: z.string(),
  htu: z.string(),
  iat: z.int(),
  ath: z.string().optional(),
});

type ProofInput = { method: string; url: string; accessToken?: string; nowS: number };

/** RFC 9449 4.2: proves possession of the key for one call. */
export async function createProof(key: KeyObject, publicJwk: PublicJwk, input: ProofInput): Promise<string> {
  const claims = {
    jti: randomUUID(),
    htm: input.method,
    htu: withoutQuery(input.url),
    iat: input.nowS,
    ...(input.accessToken === undefined ? {} : { ath: sha256Base64url(input.accessToken) }),
  };
  return signCompact(key, { typ: 'dpop+jwt', alg: 'ES256', jwk: publicJwk }, JSON.stringify(claims));
}

export type VerifiedProof = { jkt: string; jti: string; iat: number };

/**
 * RFC 9449 4.3, all checks but the replay of `jti`, which its caller remembers where it is durable.
 * @param input.url what this door is configured to be called, never the Host header.
 */
export async function verifyProof(
  proof: string | readonly string[] | undefined,
  input: ProofInput,
): Promise<VerifiedProof> {
  if (typeof proof !== 'string') throw new Refusal('INVALID_DPOP_PROOF', 'expected exactly one DPoP header');
  const { header, payload } = splitCompact(proof, 'INVALID_DPOP_PROOF');
  const { jwk } = parse(headerSchema, header);
  checkSignature(proof, jwk);
  const claims = parse(claimsSchema, payload);
  if (claims.htm !== input.method) throw new Refusal('INVALID_DPOP_PROOF', `expected htm ${input.method}`);
  if (normalised(claims.htu) !== normalised(input.url)) {
    throw new Refusal('INVALID_DPOP_PROOF', `expected htu ${withoutQuery(input.url)}`);
  }
  if (claims.iat > input.nowS + CLOCK_SKEW_S || claims.iat < input.nowS - PROOF_AGE_MAX_S) {
    throw new Refusal('INVALID_DPOP_PROOF', `expected iat within ${PROOF_AGE_MAX_S} s of now`);
  }
  const ath = input.accessToken === undefined ? undefined : sha256Base64url(input.accessToken);
  if (claims.ath !== ath) throw new Refusal('INVALID_DPOP_PROOF', 'expected ath of the access token');
  return { jkt: await calculateJwkThumbprint(jwk), jti: claims.jti, iat: claims.iat };
}

function checkSignature(proof: string, jwk: PublicJwk): void {
  if (!isSignedBy(proof, jwk)) throw new Refusal('INVALID_DPOP_PROOF', 'proof signature does not verify');
}

function isSignedBy(proof: string, jwk: PublicJwk): boolean {
  try {
    return verifyCompact(proof, importPublic(jwk));
  } catch {
    // The one thing that fails here is the key: a point that is not on the curve.
    return false;
  }
}

function parse<S extends z.ZodType>(schema: S, text: string): z.infer<S> {
  try {
    return schema.parse(parseUnambiguous(text));
  } catch (cause) {
    throw new Refusal('INVALID_DPOP_PROOF', 'proof has another form than RFC 9449 4.2', { cause });
  }
}

/** RFC 9449 4.3 (9): without query and fragment, normalised by syntax and scheme (RFC 3986 6.2.2, 6.2.3). */
function normalised(url: string): string {
  if (!URL.canParse(url)) throw new Refusal('INVALID_DPOP_PROOF', 'expected htu to be a URL');
  return withoutQuery(url);
}

function withoutQuery(url: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
}
