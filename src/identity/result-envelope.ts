import { CompactEncrypt, compactDecrypt } from 'jose';
import { z } from 'zod';
import { Refusal } from '../refusal.ts';

/**
 * What an action returned, inside a JWE (dir, A256GCM) for gateway and executor: results stand in no history and in
 * no table in the clear. The request's id is in the protected header, so that nobody who may write rows can hand one
 * request's result to the agent of another one.
 */
const TYP = 'firebreak-result+jwe';
const headerSchema = z.looseObject({ typ: z.literal(TYP), req: z.string() });

/** @param text JSON text of the result. */
export async function sealResult(requestId: string, text: string, key: Uint8Array): Promise<string> {
  return await new CompactEncrypt(new TextEncoder().encode(text))
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', typ: TYP, req: requestId })
    .encrypt(key);
}

export async function openResult(requestId: string, envelope: string, key: Uint8Array): Promise<string> {
  try {
    const { plaintext, protectedHeader } = await compactDecrypt(envelope, key, {
      keyManagementAlgorithms: ['dir'],
      contentEncryptionAlgorithms: ['A256GCM'],
    });
    if (headerSchema.parse(protectedHeader).req !== requestId) throw new TypeError('another request');
    return new TextDecoder().decode(plaintext);
  } catch (cause) {
    throw new Refusal('INTERNAL', 'stored result is not the sealed result of this request', { cause });
  }
}
