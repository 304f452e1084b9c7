import { kinds } from '../identity/claims.ts';
import { inspect } from '../identity/inspect.ts';
import type { TrustedKeys } from '../identity/manifest.ts';
import { SECURITY_EVENT_TYP, verifySecurityEvent } from '../identity/security-event.ts';
import { type ANY_AUDIENCE, type JwsKeys, verify, verifyJws } from '../identity/verify.ts';
import { Refusal } from '../refusal.ts';

/** The kinds of token that `firebreak token verify` knows, by their names on the command line. */
export const kindNames = ['access', 'ctx', 'cap', 'receipt', 'set', 'jws'] as const;
export type TokenKind = (typeof kindNames)[number];

/** Each with the codes of the doors that read it. */
const own = {
  access: { kind: 'access', code: 'INVALID_TOKEN', expiredCode: 'INVALID_TOKEN' },
  ctx: { kind: 'context', code: 'CONTEXT_MISMATCH', expiredCode: 'SESSION_EXPIRED' },
  cap: { kind: 'capability', code: 'CAPABILITY_INVALID', expiredCode: 'CAPABILITY_EXPIRED' },
  receipt: { kind: 'receipt', code: 'RECEIPT_INVALID', expiredCode: 'RECEIPT_EXPIRED' },
} as const;

export type Trust = {
  /** Of our own kinds. */
  keys: Pick<TrustedKeys, 'find'>;
  /** Of others; a key manifest has none. */
  others: JwsKeys | undefined;
  nowS: number;
  audience: string | typeof ANY_AUDIENCE;
};

/** @returns the claims, or null where the kind has none to vouch for. */
export async function verifyAs(name: TokenKind, token: string, trust: Trust): Promise<object | null> {
  if (name === 'jws' || name === 'set') {
    const { others: keys } = trust;
    if (keys === undefined) throw new Refusal('CONFIG_INVALID', `expected --jwks for ${name}`);
    if (name === 'set') return await verifySecurityEvent(token, { ...trust, keys });
    await verifyJws(token, { keys });
    return null;
  }
  const { kind, ...codes } = own[name];
  return await verify(kind, token, { ...trust, ...codes });
}

/** By the token's own word, which its verification then holds it to. */
export function kindOf(token: string): TokenKind {
  const { typ } = inspect(token).header;
  if (typ === SECURITY_EVENT_TYP) return 'set';
  for (const name of ['access', 'ctx', 'cap', 'receipt'] as const) {
    if (typ === kinds[own[name].kind].typ) return name;
  }
  throw new Refusal('INVALID_TOKEN', 'expected the typ of a kind of token that is known here');
}
