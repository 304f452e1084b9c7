import { z } from 'zod';
import { PROOF_AGE_MAX_S, type VerifiedProof } from '../identity/dpop.ts';
import { CLOCK_SKEW_S } from '../identity/verify.ts';
import { Refusal } from '../refusal.ts';
import type { Database } from './pool.ts';

const rememberedSchema = z.object({ fresh: z.boolean() });

/** RFC 9449 11.1, durable: a restart forgets no proof for as long as one is taken for fresh. */
export async function rememberProof(database: Database, proof: VerifiedProof): Promise<void> {
  // Under the key that signed it: nobody can use up another one's ids.
  const id = `dpop ${proof.jkt} ${proof.jti}`;
  const expiresAt = new Date((proof.iat + PROOF_AGE_MAX_S + CLOCK_SKEW_S) * 1_000);
  const [row] = await database.rows(rememberedSchema, 'select firebreak.remember($1, $2) as fresh', [
    id,
    expiresAt,
  ]);
  if (row?.fresh !== true) throw new Refusal('PROOF_REPLAYED', 'DPoP proof was already used');
}

export async function forgetExpiredProofs(database: Database): Promise<void> {
  await database.run('select firebreak.forget_expired()');
}
