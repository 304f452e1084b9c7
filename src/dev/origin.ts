import type { IncomingHttpHeaders } from 'node:http';
import proxy from '@fastify/http-proxy';
import type { FastifyInstance } from 'fastify';
import { problemOf } from '../call/problem.ts';
import { createHttpServer } from '../call/serve.ts';
import type { Domain } from '../domains.ts';
import type { Log } from '../log.ts';
import { Refusal } from '../refusal.ts';
import type { Settings } from '../settings.ts';

/**
 * The one origin of `dev`: each path goes to the domain that serves it, bodies unread, answers as they are. It
 * adds no power: every door behind it authenticates for itself. `/call/…`, by which the domains talk to each other,
 * is not served here, by no spelling: the proxy refuses paths that leave their prefix (`/v1/../call/mint`).
 */
type OriginOptions = {
  settings: Settings;
  /** Parts that are down now, by name. */
  missing: () => Promise<readonly string[]>;
  log: Log;
};

/** What of each domain outsiders may reach. */
const routes: readonly { prefix: string; domain: Domain }[] = [
  { prefix: '/v1', domain: 'gateway' },
  { prefix: '/oauth', domain: 'broker' },
  { prefix: '/.well-known', domain: 'broker' },
  { prefix: '/slack/events', domain: 'people' },
  { prefix: '/ledger', domain: 'ledger' },
];

/** Each agent that waits for a request holds a connection, for a minute at most. */
const CONNECTIONS_MAX = 1_024;
const ANSWER_TIMEOUT_MS = 90_000;

export async function createOrigin({ settings, missing, log }: OriginOptions): Promise<FastifyInstance> {
  const server = createHttpServer(log);
  server.get('/readyz', async (_request, reply) => {
    const down = await missing();
    const status = down.length === 0 ? 'ready' : 'not-ready';
    await reply
      .code(down.length === 0 ? 200 : 503)
      .send({ status, missing: down, mode: settings.deployment.mode });
  });
  for (const { prefix, domain } of routes) {
    await server.register(async (scope) => {
      // Fastify reads some types by itself, as text: bytes that are no UTF-8 would arrive as others.
      scope.removeAllContentTypeParsers();
      await scope.register(proxy, {
        prefix,
        rewritePrefix: prefix,
        upstream: settings.addresses[domain],
        undici: {
          connections: CONNECTIONS_MAX,
          headersTimeout: ANSWER_TIMEOUT_MS,
          bodyTimeout: ANSWER_TIMEOUT_MS,
        },
        // A call is answered once: whoever asks decides on asking again.
        retryMethods: [],
        replyOptions: {
          rewriteHeaders: withoutConnection,
          onError: (reply, { error }) => {
            log.warn({ err: error }, `${domain} did not answer`);
            const problem = problemOf(new Refusal('UNAVAILABLE', `${domain} cannot be reached`));
            void reply.code(503).type('application/problem+json').send(JSON.stringify(problem));
          },
        },
      });
    });
  }
  return server;
}

/** RFC 9110 7.6.1: these speak of the connection behind us, not of the caller's. */
function withoutConnection(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const { connection: _connection, 'keep-alive': _keepAlive, ...rest } = headers;
  return rest;
}
