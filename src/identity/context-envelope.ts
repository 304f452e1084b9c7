import { CompactEncrypt, compactDecrypt } from 'jose';
import { Refusal } from '../refusal.ts';

/**
 * The context token inside a JWE (dir, A256GCM): Temporal headers do not run through payload codecs, so the token
 * would stand in plain text in every history. Only broker, planner and executor hold the key.
 */
const HEADER = { alg: 'dir', enc: 'A256GCM', typ: 'firebreak-ctx+jwe' } as const;

export async function sealContext(token: string, key: Uint8Array): Promise<string> {
  return await new CompactEncrypt(new TextEncoder().encode(token)).setProtectedHeader(HEADER).encrypt(key);
}

/** Returns the signed context token, still to be verified. */
export async function openContext(envelope: string, key: Uint8Array): Promise<string> {
  try {
    const { plaintext, protectedHeader } = await compactDecrypt(envelope, key, {
      keyManagementAlgorithms: ['dir'],
      contentEncryptionAlgorithms: ['A256GCM'],
    });
    if (protectedHeader.typ !== HEADER.typ) throw new TypeError('expected a context envelope');
    return new TextDecoder().decode(plaintext);
  } catch (cause) {
    throw new Refusal('CONTEXT_MISSING', 'expected the sealed context of a request', { cause });
  }
}
