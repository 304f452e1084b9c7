import { createPublicKey } from 'node:crypto';
import { z } from 'zod';
import { Refusal } from '../refusal.ts';
import { weaknessOf } from './rsa-strength.ts';
import { parseUnambiguous } from './unambiguous-json.ts';
import type { JwsKey, JwsKeys } from './verify.ts';

/**
 * The public keys of somebody who is not in the key manifest: a JWK Set (RFC 7517). Each key has exactly one
 * algorithm, which it names itself or its form does; a token never chooses (RFC 8725 3.1). A key that cannot be
 * used is left out and named, as RFC 7517 5 wants, so that its tokens find no key.
 */
export type Jwks = JwsKeys & { unused: readonly Unused[] };
type Unused = { kid: string; reason: string };

const KEYS_MAX = 1_000;
const setSchema = z.looseObject({ keys: z.array(z.looseObject({})).max(KEYS_MAX) });

const usual = {
  kid: z.string().min(1),
  alg: z.string().optional(),
  use: z.literal('sig').optional(),
  key_ops: z
    .array(z.string())
    .refine((operations) => operations.includes('verify'), 'expected a key that verifies')
    .optional(),
  // A set with private halves was published by mistake: what its keys sign, anybody may have signed.
  d: z.undefined().optional(),
};
const ec = (crv: string) =>
  z.object({ kty: z.literal('EC'), crv: z.literal(crv), x: z.string(), y: z.string(), ...usual });
const rsaSchema = z.object({ kty: z.literal('RSA'), n: z.string(), e: z.string(), ...usual });
const okpSchema = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: z.string(),
  ...usual,
});

/** What a key of each form may be for; the first algorithm where it names none. */
const forms = [
  { schema: ec('P-256'), algorithms: ['ES256'] },
  { schema: ec('P-384'), algorithms: ['ES384'] },
  { schema: ec('P-521'), algorithms: ['ES512'] },
  { schema: okpSchema, algorithms: ['EdDSA', 'Ed25519'] },
  { schema: rsaSchema, algorithms: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] },
] as const;

/** @throws CONFIG_INVALID where the text is no JWK Set at all. */
export async function parseJwks(text: string): Promise<Jwks> {
  const found = new Map<string, JwsKey[]>();
  const unused: Unused[] = [];
  for (const jwk of parseSet(text)) {
    const kid = String(jwk['kid']);
    try {
      found.set(kid, [...(found.get(kid) ?? []), importKey(jwk)]);
    } catch (error) {
      unused.push({ kid, reason: error instanceof Error ? error.message : String(error) });
    }
  }
  for (const [kid, { length }] of found) {
    if (length > 1) unused.push({ kid, reason: `kid stands there ${length} times` });
  }
  return { find: (kid) => only(found.get(kid)), unused };
}

/** Two keys of one name would let the order in a file choose. */
function only(keys: readonly JwsKey[] = []): JwsKey | undefined {
  const [key, ...others] = keys;
  return others.length === 0 ? key : undefined;
}

function parseSet(text: string) {
  try {
    return setSchema.parse(parseUnambiguous(text)).keys;
  } catch (cause) {
    throw new Refusal('CONFIG_INVALID', 'expected a JWK Set (RFC 7517 5)', { cause });
  }
}

function importKey(jwk: unknown): JwsKey {
  for (const { schema, algorithms } of forms) {
    const parsed = schema.safeParse(jwk);
    if (!parsed.success) continue;
    const { kid: _kid, use: _use, key_ops: _operations, d: _private, alg: named, ...material } = parsed.data;
    const alg = algorithms.find((one) => one === (named ?? algorithms[0]));
    if (alg === undefined) throw new TypeError(`expected alg ${algorithms.join(' or ')}, got ${named}`);
    const weakness = material.kty === 'RSA' ? weaknessOf(material) : undefined;
    if (weakness !== undefined) throw new TypeError(weakness);
    return { alg, key: createPublicKey({ key: material, format: 'jwk' }) };
  }
  throw new TypeError('expected a public signature key: P-256, P-384, P-521, Ed25519 or RSA');
}
