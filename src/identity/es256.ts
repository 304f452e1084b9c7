import { type KeyObject, sign, verify } from 'node:crypto';

/**
 * The signature of every compact JWS of ours: ES256, synchronous. WebCrypto, which jose goes through, hands each of
 * the forty signatures of one request to a thread and back, which takes several times as long as the curve does.
 * Form and header of a token are its verifier's business and are checked before this.
 */
export function signCompact(key: KeyObject, header: object, payload: string): string {
  const signed = `${encoded(JSON.stringify(header))}.${encoded(payload)}`;
  const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' });
  return `${signed}.${signature.toString('base64url')}`;
}

/** @returns false for whatever is not this key's signature over the first two segments. */
export function verifyCompact(token: string, key: KeyObject): boolean {
  const end = token.lastIndexOf('.');
  const signature = Buffer.from(token.slice(end + 1), 'base64url');
  // RFC 7518 3.4: R and S side by side; any other length is none.
  return verify('sha256', Buffer.from(token.slice(0, end)), { key, dsaEncoding: 'ieee-p1363' }, signature);
}

function encoded(text: string): string {
  return Buffer.from(text).toString('base64url');
}
