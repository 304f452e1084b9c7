import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { Refusal, type RefusalCode, refusals } from '../refusal.ts';

/**
 * RFC 6749 5.2, RFC 8693 2.2.2 (an unacceptable subject token is `invalid_request`) and RFC 9449 5; our own code
 * stands beside it, because OAuth's few words say too little to somebody who must repair something.
 */
const errors: Partial<Record<RefusalCode, string>> = {
  INVALID_DPOP_PROOF: 'invalid_dpop_proof',
  PROOF_REPLAYED: 'invalid_dpop_proof',
};

const namedSchema = z.object({ error: z.string() });

export async function answerOAuthError(
  thrown: FastifyError | Refusal,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const refusal = asRefusal(thrown);
  const { status } = refusals[refusal.code];
  if (status >= 500) request.log.error({ err: thrown }, refusal.message);
  else request.log.info({ code: refusal.code, cause: refusal.cause }, refusal.message);
  const named = namedSchema.safeParse(refusal.details);
  const usual = status >= 500 ? 'server_error' : (errors[refusal.code] ?? 'invalid_request');
  await reply.code(status >= 500 ? status : 400).send({
    error: named.success ? named.data.error : usual,
    // RFC 6749 5.2: no quotes, no backslash, ASCII only.
    error_description: refusal.message.replaceAll(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, '?'),
    code: refusal.code,
  });
}

function asRefusal(thrown: FastifyError | Refusal): Refusal {
  if (thrown instanceof Refusal) return thrown;
  if (thrown.statusCode !== undefined && thrown.statusCode < 500) {
    return new Refusal('INVALID_INPUT', 'expected an application/x-www-form-urlencoded body', {
      cause: thrown,
    });
  }
  return new Refusal('INTERNAL', 'something failed inside; the log of the broker says what', {
    cause: thrown,
  });
}
