import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import { Refusal } from './refusal.ts';

/** Plain JSON data, the only thing that is ever hashed or signed. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [member: string]: Json };

/**
 * RFC 8785 text of parsed data. Throws INVALID_INPUT for what JSON cannot carry exactly
 * (lone surrogates, non-finite numbers), so that two readers never hash different bytes.
 */
export function canonicalText(value: unknown): string {
  try {
    const text = canonicalize(value);
    if (text === undefined) throw new TypeError('expected JSON data, got undefined');
    return text;
  } catch (cause) {
    throw new Refusal('INVALID_INPUT', 'expected data with one canonical form (RFC 8785)', { cause });
  }
}

/** base64url(SHA-256(bytes)), 43 characters. */
export function sha256Base64url(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64url');
}

/** base64url(SHA-256(RFC 8785 text of value)), 43 characters. */
export function canonicalDigest(value: unknown): string {
  return sha256Base64url(canonicalText(value));
}
