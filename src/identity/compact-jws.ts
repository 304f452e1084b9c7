import { Refusal, type RefusalCode } from '../refusal.ts';
import { decodeUtf8 } from './unambiguous-json.ts';

/** Longest compact token that is looked at, characters. */
export const TOKEN_LENGTH_MAX = 64 * 1_024;

/** RFC 7515 lets the payload be empty; who reads claims finds none there. */
const SEGMENTS = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+$/;

/**
 * The form that is checked before any key is looked for: three segments of canonical base64url, nothing else.
 * jose alone accepts white space, padding and the unused bits of a last character, so that one token would have
 * many spellings (RFC 8725bis: other characters MUST be rejected).
 */
export function splitJws(token: string, code: RefusalCode): { header: string; payload: Uint8Array } {
  if (token.length > TOKEN_LENGTH_MAX) throw new Refusal(code, 'token is too long');
  if (!SEGMENTS.test(token)) throw new Refusal(code, 'expected three segments of base64url');
  const [header, payload] = token.split('.').map((segment) => decodeCanonical(segment, code));
  // The expression above has found three segments.
  if (header === undefined || payload === undefined) throw new Refusal(code, 'expected three segments');
  return { header: textOf(header, code), payload };
}

/** The same, of a token whose payload is text. */
export function splitCompact(token: string, code: RefusalCode): { header: string; payload: string } {
  const { header, payload } = splitJws(token, code);
  return { header, payload: textOf(payload, code) };
}

function decodeCanonical(segment: string, code: RefusalCode): Uint8Array {
  const bytes = Buffer.from(segment, 'base64url');
  if (bytes.toString('base64url') !== segment) throw new Refusal(code, 'expected canonical base64url');
  return bytes;
}

function textOf(bytes: Uint8Array, code: RefusalCode): string {
  try {
    return decodeUtf8(bytes);
  } catch (cause) {
    throw new Refusal(code, 'expected UTF-8 text in the token', { cause });
  }
}
