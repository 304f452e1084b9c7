import { readFile } from 'node:fs/promises';
import { isAbsolute, resolve } from 'node:path';
import { type CryptoKey, compactVerify, importJWK } from 'jose';
import { z } from 'zod';
import { splitCompact } from '../identity/compact-jws.ts';
import { parseUnambiguous } from '../identity/unambiguous-json.ts';
import { CLOCK_SKEW_S } from '../identity/verify.ts';
import { Refusal } from '../refusal.ts';
import type { Settings, Workload } from '../settings.ts';

/**
 * A workload's own token: a JWT of a configured issuer (OIDC, or a JWT-SVID), mapped by exact `iss`, `sub` and `aud`
 * to one agent. Keys come from the issuer's configured JWKS file alone; nothing in a token says where to look
 * (RFC 8725 3.10).
 */

/** A workload token that lives longer is a password. */
const LIFETIME_MAX_S = 3_600;
const RSA_BITS_MIN = 2_048;

type IssuerKey = { alg: 'ES256' | 'RS256'; key: CryptoKey };
/** By issuer and `kid`. */
export type WorkloadIssuers = ReadonlyMap<string, ReadonlyMap<string, IssuerKey>>;

/** Members that nothing here reads (`x5c`, `x5u`) are dropped, and private ones with them. */
const usual = { kid: z.string().min(1), alg: z.string().optional(), use: z.literal('sig').optional() };
const ecSchema = z.object({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: z.string(),
  y: z.string(),
  ...usual,
});
const rsaSchema = z.object({ kty: z.literal('RSA'), n: z.string(), e: z.string(), ...usual });
const jwkSchema = z.discriminatedUnion('kty', [ecSchema, rsaSchema]);
const jwksSchema = z.object({ keys: z.array(jwkSchema).min(1).max(100) });

/** @param base the folder that the paths of the settings are relative to. */
export async function loadWorkloadIssuers(settings: Settings, base: string): Promise<WorkloadIssuers> {
  const issuers = new Map<string, Map<string, IssuerKey>>();
  for (const { issuer, jwks } of settings.issuers) {
    const file = isAbsolute(jwks) ? jwks : resolve(base, jwks);
    issuers.set(issuer, await loadJwks(file));
  }
  return issuers;
}

async function loadJwks(file: string): Promise<Map<string, IssuerKey>> {
  try {
    const keys = new Map<string, IssuerKey>();
    for (const jwk of jwksSchema.parse(JSON.parse(await readFile(file, 'utf8'))).keys) {
      if (keys.has(jwk.kid)) throw new TypeError(`kid ${jwk.kid} stands there twice`);
      keys.set(jwk.kid, await importIssuerKey(jwk));
    }
    return keys;
  } catch (cause) {
    throw new Refusal('CONFIG_INVALID', `expected a JWKS with P-256 or RSA signature keys in ${file}`, {
      cause,
    });
  }
}

/** One algorithm a key, from the key itself and never from a token (RFC 8725 3.1). */
async function importIssuerKey(jwk: z.infer<typeof jwkSchema>): Promise<IssuerKey> {
  const alg = jwk.kty === 'EC' ? 'ES256' : 'RS256';
  if (jwk.alg !== undefined && jwk.alg !== alg) throw new TypeError(`expected alg ${alg}, got ${jwk.alg}`);
  if (jwk.kty === 'RSA' && Buffer.from(jwk.n, 'base64url').length * 8 < RSA_BITS_MIN) {
    throw new TypeError(`expected RSA keys of ${RSA_BITS_MIN} bits or more`);
  }
  const { kid: _kid, alg: _alg, use: _use, ...material } = jwk;
  const key = await importJWK(material, alg);
  if (key instanceof Uint8Array) throw new TypeError('expected a public key');
  return { alg, key };
}

const headerSchema = z.strictObject({
  alg: z.enum(['ES256', 'RS256']),
  kid: z.string(),
  typ: z.literal('JWT').optional(),
});
const seconds = z.int().min(0);
const claimsSchema = z.object({
  iss: z.string(),
  sub: z.string(),
  /** One audience: a token for several doors would be replayed from one to the other. */
  aud: z.union([
    z.string(),
    z
      .array(z.string())
      .length(1)
      .transform(([only = '']) => only),
  ]),
  exp: seconds,
  iat: seconds.optional(),
  nbf: seconds.optional(),
});
type WorkloadClaims = z.infer<typeof claimsSchema>;

type Trust = { issuers: WorkloadIssuers; workloads: readonly Workload[]; nowS: number };

/** Verifies a workload's token and finds the one agent that it stands for. */
export async function verifyWorkload(token: string, trust: Trust): Promise<Workload> {
  const { header, payload } = splitCompact(token, 'INVALID_TOKEN');
  const { alg, kid } = parse(headerSchema, header);
  const claims = parse(claimsSchema, payload);
  const key = trust.issuers.get(claims.iss)?.get(kid);
  if (key === undefined || key.alg !== alg) {
    throw new Refusal('INVALID_TOKEN', 'expected a key of a configured issuer for this algorithm');
  }
  await checkSignature(token, key);
  checkTimes(claims, trust.nowS);
  return findWorkload(claims, trust.workloads);
}

function parse<S extends z.ZodType>(schema: S, text: string): z.infer<S> {
  try {
    return schema.parse(parseUnambiguous(text));
  } catch (cause) {
    throw new Refusal('INVALID_TOKEN', 'workload token has another form than expected', { cause });
  }
}

async function checkSignature(token: string, { alg, key }: IssuerKey): Promise<void> {
  try {
    await compactVerify(token, key, { algorithms: [alg] });
  } catch (cause) {
    throw new Refusal('INVALID_TOKEN', 'signature of the workload token does not verify', { cause });
  }
}

function checkTimes({ exp, iat, nbf }: WorkloadClaims, nowS: number): void {
  const fail = (message: string) => new Refusal('INVALID_TOKEN', `workload token ${message}`);
  if (exp <= nowS) throw fail('has expired');
  if (exp - (iat ?? nowS) > LIFETIME_MAX_S) throw fail(`lives longer than ${LIFETIME_MAX_S} s`);
  if (iat !== undefined && iat > nowS + CLOCK_SKEW_S) throw fail('was issued in the future');
  if (nbf !== undefined && nbf > nowS + CLOCK_SKEW_S) throw fail('is not valid yet');
}

/** Exact on all three: a prefix or a pattern would let one workload speak as another one. */
function findWorkload({ iss, sub, aud }: WorkloadClaims, workloads: readonly Workload[]): Workload {
  const found = workloads.find(
    ({ issuer, subject, audience }) => issuer === iss && subject === sub && audience === aud,
  );
  if (found === undefined) throw new Refusal('WORKLOAD_UNKNOWN', 'no agent is mapped to this workload');
  return found;
}
