import { Refusal } from '../refusal.ts';

/**
 * Standard Base64 (RFC 4648 section 4, what the C2SP formats use) in its one canonical spelling: Node alone skips
 * strange characters and unused bits, so that one signed file would have many spellings.
 */
export function parseBase64(text: string, what: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64');
  if (toBase64(bytes) !== text) throw new Refusal('LEDGER_INVALID', `expected ${what} in canonical base64`);
  return bytes;
}

export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
