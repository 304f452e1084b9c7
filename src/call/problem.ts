import type { FastifyError, FastifyInstance } from 'fastify';
import { Refusal, refusals } from '../refusal.ts';

/** RFC 9457 problem details with our stable code; a cause never leaves the process. */
export function replyWithProblems(server: FastifyInstance): void {
  server.setErrorHandler(async (error: FastifyError | Refusal, request, reply) => {
    const refusal = asRefusal(error);
    if (refusals[refusal.code].status >= 500) request.log.error({ err: error }, refusal.message);
    else request.log.info({ code: refusal.code, cause: refusal.cause }, refusal.message);
    await reply
      .code(refusals[refusal.code].status)
      .type('application/problem+json')
      .send(JSON.stringify(problemOf(refusal)));
  });
  server.setNotFoundHandler(async () => {
    throw new Refusal('UNKNOWN_ROUTE', 'this door has no such path');
  });
}

export function problemOf(refusal: Refusal): object {
  const { status, retry } = refusals[refusal.code];
  return {
    type: `urn:firebreak:refusal:${refusal.code}`,
    title: refusal.code.toLowerCase().replaceAll('_', ' '),
    status,
    detail: refusal.message,
    code: refusal.code,
    retry,
    ...(refusal.details === undefined ? {} : { details: refusal.details }),
  };
}

function asRefusal(error: FastifyError | Refusal): Refusal {
  if (error instanceof Refusal) return error;
  if (error.statusCode === 413) return new Refusal('TOO_LARGE', 'body is larger than this path takes');
  if (error.statusCode !== undefined && error.statusCode < 500) {
    return new Refusal('INVALID_INPUT', 'expected a JSON body with content-type application/json', {
      cause: error,
    });
  }
  return new Refusal('INTERNAL', 'something failed inside; the log of this domain says what', {
    cause: error,
  });
}
