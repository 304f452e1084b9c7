import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { createHttpServer } from '../../call/serve.ts';
import { Refusal } from '../../refusal.ts';
import { type Agent, authenticate, headerValues } from './authenticate.ts';
import type { Door } from './door.ts';
import { faultsOfIssues, listed } from './faults.ts';
import { idempotencyKeyOf } from './idempotency.ts';
import { list, show, showResult } from './show.ts';
import { submit } from './submit.ts';
import { traceIdOf } from './trace.ts';

/**
 * The agents' door: files requests and shows them, to the agent that filed them. It authenticates before it reads a
 * body, and it can neither vote, decide, mint nor consume.
 */
/**
 * Bodies are read somewhat beyond what is taken (`BODY_MAX_BYTES`): a connection that is cut while a reverse proxy
 * still writes loses the answer, and the caller would see a broken pipe instead of TOO_LARGE.
 */
const READ_MAX_BYTES = 1_024 * 1_024;
const LIST_MAX = 100;
const LIST_USUAL = 20;
const WAIT_MAX_S = 60;

export function createAgentsServer(door: Door): FastifyInstance {
  const server = createHttpServer(door.log, READ_MAX_BYTES);
  readBodiesAsBytes(server);
  addAnswerHeaders(server);
  server.addHook('preClose', async () => door.watchers.close());
  server.get('/readyz', async (_request, reply) => {
    const missing = await door.missing();
    const status = missing.length === 0 ? 'ready' : 'not-ready';
    return await reply
      .code(missing.length === 0 ? 200 : 503)
      .send({ status, missing, mode: door.settings.deployment.mode });
  });
  addRequestRoutes(server, door);
  server.get('/v1/actions', async (request) => {
    await authenticate(request, door);
    return { actions: actionsOf(door) };
  });
  return server;
}

function addRequestRoutes(server: FastifyInstance, door: Door): void {
  server.post('/v1/requests', async (request, reply) => {
    const agent = await authenticate(request, door);
    const answer = await submit(door, agent, submissionOf(request, door));
    await reply.code(answer.status).header('location', `/v1/requests/${answer.requestId}`).send(answer.body);
  });
  server.get('/v1/requests', async (request) => {
    const agent = await authenticate(request, door);
    return await list(door, agent, parseQuery(listQuerySchema, request).limit);
  });
  server.get('/v1/requests/:id', async (request) => {
    const agent = await authenticate(request, door);
    const { wait } = parseQuery(showQuerySchema, request);
    return await show(door, agent, { id: idOf(request), waitMs: wait });
  });
  server.get('/v1/requests/:id/result', async (request) => {
    const agent: Agent = await authenticate(request, door);
    return await showResult(door, agent, idOf(request));
  });
}

const listQuerySchema = z.strictObject({
  limit: z
    .string()
    .regex(/^[1-9]\d{0,2}$/)
    .transform(Number)
    .refine((limit) => limit <= LIST_MAX, `expected at most ${LIST_MAX}`)
    .default(LIST_USUAL),
});

/** Milliseconds, from whole seconds with their unit. */
const showQuerySchema = z.strictObject({
  wait: z
    .string()
    .regex(/^(0|[1-9]\d?)s$/, 'expected whole seconds, e.g. 30s')
    .transform((text) => Number(text.slice(0, -1)))
    .refine((seconds) => seconds <= WAIT_MAX_S, `expected at most ${WAIT_MAX_S}s`)
    .transform((seconds) => seconds * 1_000)
    .default(0),
});

function parseQuery<S extends z.ZodType>(schema: S, request: FastifyRequest): z.infer<S> {
  const parsed = schema.safeParse(request.query);
  if (parsed.success) return parsed.data;
  const faults = listed(faultsOfIssues(parsed.error.issues));
  throw new Refusal('INVALID_INPUT', 'expected a query of another form', { details: { faults } });
}

const parametersSchema = z.object({ id: z.string() });

function idOf(request: FastifyRequest): string {
  return parametersSchema.parse(request.params).id;
}

function submissionOf(request: FastifyRequest, door: Door) {
  const traceparents = headerValues(request, 'traceparent');
  return {
    body: request.body instanceof Uint8Array ? request.body : new Uint8Array(),
    idempotencyKey: idempotencyKeyOf(headerValues(request, 'idempotency-key')),
    traceId: traceIdOf(traceparents.length === 1 ? traceparents[0] : undefined, door.random),
  };
}

/** The strict parser works on what came over the wire; fastify's own would have lost duplicates by then. */
function readBodiesAsBytes(server: FastifyInstance): void {
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  );
}

function addAnswerHeaders(server: FastifyInstance): void {
  server.addHook('onSend', async (_request, reply) => {
    reply.header('cache-control', 'no-store');
    // RFC 9449 7.1: says how to come back.
    if (reply.statusCode === 401) reply.header('www-authenticate', 'DPoP algs="ES256"');
  });
}

function actionsOf(door: Door): object[] {
  return [...door.definitions.values()].map(({ name, title, effectClass, schemaVersion, input }) => ({
    name,
    title,
    effectClass,
    schemaVersion,
    input: z.toJSONSchema(input, { io: 'input', unrepresentable: 'any' }),
  }));
}
