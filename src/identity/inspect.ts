import { z } from 'zod';
import { Refusal } from '../refusal.ts';
import { splitJws } from './compact-jws.ts';
import { parseUnambiguous } from './unambiguous-json.ts';

/** Header and claims of a token that nobody has verified: for people to look at, never to decide by. */
export type Unverified = { header: Record<string, unknown>; claims: Record<string, unknown> };

const objectSchema = z.record(z.string(), z.unknown());

export function inspect(token: string): Unverified {
  const { header, payload } = splitJws(token, 'INVALID_TOKEN');
  return { header: parseObject(header), claims: parseObject(payload) };
}

function parseObject(from: string | Uint8Array): Record<string, unknown> {
  try {
    return objectSchema.parse(parseUnambiguous(from));
  } catch (cause) {
    throw new Refusal('INVALID_TOKEN', 'expected a token whose header and claims are JSON objects', {
      cause,
    });
  }
}
