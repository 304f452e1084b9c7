import { Refusal, type RefusalCode } from '../refusal.ts';

/** Longest compact token that is looked at, characters. */
export const TOKEN_LENGTH_MAX = 64 * 1_024;

const SEGMENTS = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/**
 * The form that is checked before any key is looked for: three segments of canonical base64url, nothing else.
 * jose alone accepts white space, padding and the unused bits of a last character, so that one token would have
 * many spellings (RFC 8725bis: other characters MUST be rejected).
 */
export function splitCompact(token: string, code: RefusalCode): { header: string; payload: string } {
  if (token.length > TOKEN_LENGTH_MAX) throw new Refusal(code, 'token is too long');
  if (!SEGMENTS.test(token)) throw new Refusal(code, 'expected three segments of base64url');
  const [header = '', payload = '', signature = ''] = token.split('.');
  for (const segment of [header, payload, signature]) {
    if (Buffer.from(segment, 'base64url').toString('base64url') !== segment) {
      throw new Refusal(code, 'expected canonical base64url');
    }
  }
  return { header: decodeUtf8(header, code), payload: decodeUtf8(payload, code) };
}

function decodeUtf8(segment: string, code: RefusalCode): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
      Buffer.from(segment, 'base64url'),
    );
  } catch (cause) {
    throw new Refusal(code, 'expected UTF-8 text in the token', { cause });
  }
}
