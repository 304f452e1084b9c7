import type { KeyObject } from 'node:crypto';
import { compactVerify } from 'jose';
import { z } from 'zod';
import { canonicalText } from '../canonical.ts';
import { Refusal, type RefusalCode } from '../refusal.ts';
import { type Claims, type Kind, kinds } from './claims.ts';
import { splitCompact, splitJws } from './compact-jws.ts';
import { signCompact, verifyCompact } from './es256.ts';
import type { SigningKey } from './keys.ts';
import type { TrustedKeys } from './manifest.ts';
import { parseUnambiguous } from './unambiguous-json.ts';

/**
 * The one verifier of every signed object. Order, each step fail closed: form, header, key by (kind, kid),
 * signature, payload form, claims, issuer, audience, times. A caller gets typed claims or a refusal.
 */

/** How far two hosts' clocks may be apart, seconds. */
export const CLOCK_SKEW_S = 30;

const headerSchema = z.strictObject({ alg: z.literal('ES256'), kid: z.string(), typ: z.string() });

/** For a reader who is no audience, such as a person with a token in hand; a door never passes it. */
export const ANY_AUDIENCE = Symbol('any audience');

type Expectation = {
  keys: Pick<TrustedKeys, 'find'>;
  /** Unix seconds. */
  nowS: number;
  audience?: string | typeof ANY_AUDIENCE;
  /** The code of every failure; INVALID_TOKEN unless the caller's readers know a better one. */
  code?: RefusalCode;
  /** The code of a token that was good and is over, where its readers act on that. */
  expiredCode?: RefusalCode;
};

/** Signs claims as RFC 8785 text, so that one statement has one spelling. */
export async function sign<K extends Kind>(key: SigningKey, kind: K, claims: Claims<K>): Promise<string> {
  if (key.kind !== kind) throw new Refusal('INTERNAL', `expected a ${kind} key, got a ${key.kind} key`);
  const payload = canonicalText(kinds[kind].claims.parse(claims));
  return signCompact(key.key, { alg: 'ES256', kid: key.kid, typ: kinds[kind].typ }, payload);
}

export async function verify<K extends Kind>(
  kind: K,
  token: string,
  expected: Expectation,
): Promise<Claims<K>> {
  const code = expected.code ?? 'INVALID_TOKEN';
  const { header, payload } = splitCompact(token, code);
  const key = findKey(kind, header, expected, code);
  if (!verifyCompact(token, key.key)) throw unsigned(code);
  const claims = parseClaims(kind, payload, code);
  const members = z.record(z.string(), z.unknown()).parse(claims);
  checkIssuer(members, key.issuer, code);
  checkAudience(members, expected.audience, code);
  checkTimes(kind, members, { nowS: expected.nowS, code, expiredCode: expected.expiredCode ?? code });
  return claims;
}

/** A key and the one algorithm that it is for. */
export type JwsKey = { alg: string; key: KeyObject };
export type JwsKeys = { find(kid: string): JwsKey | undefined };
type JwsHeader = z.infer<typeof jwsHeaderSchema>;

/** `crit`, `jwk`, `jku`, `x5u` and the like are refused by not being here: nothing in a token says what to trust. */
const jwsHeaderSchema = z.strictObject({ alg: z.string(), kid: z.string(), typ: z.string().optional() });

/**
 * Somebody else's JWS, by the same steps as our own up to the signature: form, header, key and its algorithm,
 * signature. What the payload says is not looked at.
 */
export async function verifyJws(
  token: string,
  { keys, code = 'INVALID_TOKEN' }: { keys: JwsKeys; code?: RefusalCode },
): Promise<{ header: JwsHeader; payload: Uint8Array }> {
  const { header: text, payload } = splitJws(token, code);
  const header = parse(jwsHeaderSchema, () => parseUnambiguous(text), code);
  const key = keys.find(header.kid);
  if (key === undefined || key.alg !== header.alg) {
    throw new Refusal(code, 'expected a known kid, and the algorithm of its key');
  }
  if (!(await isSignedBy(token, key))) throw unsigned(code);
  return { header, payload };
}

function findKey(kind: Kind, header: string, expected: Expectation, code: RefusalCode) {
  const { kid, typ } = parseCanonical(headerSchema, header, code);
  // Exact and case-sensitive: jose compares `typ` loosely.
  if (typ !== kinds[kind].typ) throw new Refusal(code, `expected typ ${kinds[kind].typ}, got ${typ}`);
  const key = expected.keys.find(kind, kid);
  if (key === undefined) throw new Refusal(code, `expected a key that may sign ${kind}, got an unknown kid`);
  return key;
}

function unsigned(code: RefusalCode): Refusal {
  return new Refusal(code, 'signature does not verify');
}

/** Our own algorithm by our own way, so that the vectors for somebody else's tokens try that one too. */
async function isSignedBy(token: string, { alg, key }: JwsKey): Promise<boolean> {
  if (alg === 'ES256') return verifyCompact(token, key);
  try {
    await compactVerify(token, key, { algorithms: [alg] });
    return true;
  } catch {
    return false;
  }
}

function parseClaims<K extends Kind>(kind: K, payload: string, code: RefusalCode): Claims<K> {
  const schema: z.ZodType = kinds[kind].claims;
  return parseCanonical(schema, payload, code) as Claims<K>; // The table maps kind to schema; TypeScript loses it.
}

/** RFC 8785 text only: duplicate members, other spellings and lone surrogates have no canonical form. */
function parseCanonical<S extends z.ZodType>(schema: S, text: string, code: RefusalCode): z.infer<S> {
  const read = () => {
    const value: unknown = JSON.parse(text);
    if (canonicalText(value) !== text) throw new TypeError('expected RFC 8785 text');
    return value;
  };
  return parse(schema, read, code);
}

function parse<S extends z.ZodType>(schema: S, read: () => unknown, code: RefusalCode): z.infer<S> {
  try {
    return schema.parse(read());
  } catch (cause) {
    throw new Refusal(code, 'token has a header or claims of another form than expected', { cause });
  }
}

type Members = Record<string, unknown>;

function checkIssuer({ iss }: Members, issuer: string, code: RefusalCode): void {
  if (iss !== issuer) throw new Refusal(code, `expected iss ${issuer}, whose key signed`);
}

function checkAudience({ aud }: Members, audience: Expectation['audience'], code: RefusalCode): void {
  if (audience === ANY_AUDIENCE) return;
  if (aud !== audience) throw new Refusal(code, `expected aud ${audience ?? 'absent'}, got ${String(aud)}`);
}

type Times = { nowS: number; code: RefusalCode; expiredCode: RefusalCode };

function checkTimes(kind: Kind, { iat, nbf, exp }: Members, { nowS, code, expiredCode }: Times): void {
  if (typeof iat === 'number' && iat > nowS + CLOCK_SKEW_S) {
    throw new Refusal(code, 'token was issued in the future');
  }
  if (typeof nbf === 'number' && nbf > nowS + CLOCK_SKEW_S) {
    throw new Refusal(code, 'token is not valid yet');
  }
  const { lifetimeMaxS } = kinds[kind];
  if (lifetimeMaxS === null) return;
  if (typeof exp !== 'number' || typeof iat !== 'number') throw new Refusal(code, 'expected iat and exp');
  if (exp - iat > lifetimeMaxS) throw new Refusal(code, 'token lives longer than its kind may');
  // No skew here: what has expired has expired, and lifetimes are long enough for honest clocks.
  if (exp <= nowS) throw new Refusal(expiredCode, 'token has expired');
}
