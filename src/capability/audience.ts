import { z } from 'zod';
import { Refusal } from '../refusal.ts';

const audienceSchema = z.object({ aud: z.string() });

/**
 * The target that a capability says it is for, before anything is verified: its verifier needs an audience, and which
 * one is right is decided afterwards, against the request's own content.
 */
export function audienceOf(capability: string): string {
  try {
    const [, payload = ''] = capability.split('.');
    return audienceSchema.parse(JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))).aud;
  } catch (cause) {
    throw new Refusal('CAPABILITY_INVALID', 'expected a capability', { cause });
  }
}
