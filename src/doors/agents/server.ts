import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { createHttpServer } from '../../call/serve.ts';
import { Refusal } from '../../refusal.ts';
import { type Agent, authenticate, headerValues } from './authenticate.ts';
import { cancel } from './cancel.ts';
import type { Door } from './door.ts';
import { faultsOfIssues, listed } from './faults.ts';
import { idempotencyKeyOf } from './idempotency.ts';
import { list, show, showResult } from './show.ts';
import { parseStrict } from './strict-json.ts';
import { type Answer, submit } from './submit.ts';
import { traceIdOf } from './trace.ts';
import { undo } from './undo.ts';

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
    await answerWith(reply, await submit(door, agent, submissionOf(request, door)));
  });
  server.post('/v1/requests/:id/undo', async (request, reply) => {
    const agent = await authenticate(request, door);
    refuseBody(request);
    await answerWith(reply, await undo(door, agent, { id: idOf(request), traceId: traceOf(request, door) }));
  });
  server.post('/v1/requests/:id/cancel', async (request) => {
    const agent = await authenticate(request, door);
    refuseBody(request);
    return await cancel(door, agent, idOf(request));
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

async function answerWith(reply: FastifyReply, { status, requestId, body }: Answer): Promise<void> {
  await reply.code(status).header('location', `/v1/requests/${requestId}`).send(body);
}

function submissionOf(request: FastifyRequest, door: Door) {
  return {
    body: bytesOf(request),
    idempotencyKey: idempotencyKeyOf(headerValues(request, 'idempotency-key')),
    traceId: traceOf(request, door),
  };
}

function traceOf(request: FastifyRequest, door: Door): string {
  const traceparents = headerValues(request, 'traceparent');
  return traceIdOf(traceparents.length === 1 ? traceparents[0] : undefined, door.random);
}

function bytesOf({ body }: FastifyRequest): Uint8Array {
  return body instanceof Uint8Array ? body : new Uint8Array();
}

/** What would be said in a body is not listened to, and a caller who says it must know. */
function refuseBody(request: FastifyRequest): void {
  const bytes = bytesOf(request);
  if (bytes.length > 0 && !z.strictObject({}).safeParse(parseStrict(bytes)).success)
    throw new Refusal('INVALID_INPUT', 'expected no body');
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
