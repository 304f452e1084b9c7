import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import { sha256Base64url } from '../canonical.ts';
import type { Domain } from '../domains.ts';
import type { Claims } from '../identity/claims.ts';
import type { TrustedKeys } from '../identity/manifest.ts';
import { verify } from '../identity/verify.ts';
import type { Log } from '../log.ts';
import { Refusal } from '../refusal.ts';
import { callPath, definitionOf } from './call.ts';
import { replyWithProblems } from './problem.ts';
import { type CallBody, type CallReply, calls, type VerbOf } from './table.ts';

/** Largest body between domains, bytes: a plan of 10,000 rows fits. */
const BODY_MAX_BYTES = 8 * 1_024 * 1_024;
/** How many call ids are remembered; each lives ten seconds. */
const SEEN_MAX = 200_000;

export type Handlers<D extends Domain> = {
  [V in VerbOf<D>]: (body: CallBody<D, V>, from: Domain) => Promise<CallReply<D, V>>;
};

type ServeOptions<D extends Domain> = {
  domain: D;
  /** This domain's own base URL, as callers are configured to name it. */
  address: string;
  keys: TrustedKeys;
  clock: () => number;
  log: Log;
  handlers: Handlers<D>;
};

/** A server that answers exactly the calls of the table, from exactly the domains that it names. */
export function createServer<D extends Domain>(options: ServeOptions<D>): FastifyInstance {
  const server = createHttpServer(options.log);
  const seen = createSeen(options.clock);
  const handlers: Record<string, (body: never, from: Domain) => Promise<unknown>> = options.handlers;
  void server.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) =>
      done(null, body),
    );
    for (const [name, handle] of Object.entries(handlers)) {
      const definition = definitionOf(options.domain, name);
      scope.post(callPath(name), async (request) => {
        const raw = String(request.body);
        const claims = await authenticate(request.headers.authorization, raw, { ...options, verb: name });
        if (!definition.from.some((domain) => domain === claims.iss)) {
          throw new Refusal('CALL_NOT_PERMITTED', `${claims.iss} may not call ${options.domain}.${name}`);
        }
        seen(claims);
        const body = parseBody(definition, raw);
        const reply = await handle(body as never, fromOf(claims)); // The verb's own schema has just parsed it.
        return definition.reply.parse(reply);
      });
    }
  });
  return server;
}

/** Health, problem details and limits that every door of ours shares. */
export function createHttpServer(log: Log, bodyMaxBytes: number = BODY_MAX_BYTES): FastifyInstance {
  const loggerInstance: FastifyBaseLogger = log;
  const server = Fastify({
    loggerInstance,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: bodyMaxBytes,
    requestIdHeader: false,
    forceCloseConnections: true,
    keepAliveTimeout: 30_000,
  });
  replyWithProblems(server);
  server.get('/healthz', async () => ({ status: 'ok' }));
  return server;
}

async function authenticate<D extends Domain>(
  header: string | undefined,
  raw: string,
  options: ServeOptions<D> & { verb: string },
): Promise<Claims<'call'>> {
  const token = /^Firebreak-Call (\S+)$/.exec(header ?? '')?.[1];
  if (token === undefined) throw new Refusal('CALL_UNAUTHENTICATED', 'expected a Firebreak-Call token');
  const claims = await verify('call', token, {
    keys: options.keys,
    nowS: Math.floor(options.clock() / 1_000),
    audience: options.domain,
    code: 'CALL_UNAUTHENTICATED',
  });
  if (claims.htu !== `${options.address}${callPath(options.verb)}`) {
    throw new Refusal('CALL_UNAUTHENTICATED', 'call token is for another address');
  }
  if (claims.bodyHash !== sha256Base64url(raw)) {
    throw new Refusal('CALL_UNAUTHENTICATED', 'call token is for another body');
  }
  return claims;
}

function parseBody(definition: ReturnType<typeof definitionOf>, raw: string): unknown {
  try {
    return definition.body.parse(JSON.parse(raw));
  } catch (cause) {
    throw new Refusal('INVALID_INPUT', 'call has a body of another form than agreed', { cause });
  }
}

function fromOf(claims: Claims<'call'>): Domain {
  const known = (Object.keys(calls) as Domain[]).find((domain) => domain === claims.iss); // Keys of the table.
  if (known === undefined) throw new Refusal('CALL_UNAUTHENTICATED', 'expected a known domain');
  return known;
}

/** Remembers call ids until they have expired, in order of arrival; a full memory refuses instead of forgetting. */
function createSeen(clock: () => number): (claims: Claims<'call'>) => void {
  const expiries = new Map<string, number>();
  return ({ jti, exp }) => {
    const nowS = clock() / 1_000;
    for (const [old, expiry] of expiries) {
      if (expiry >= nowS) break;
      expiries.delete(old);
    }
    if (expiries.has(jti)) throw new Refusal('PROOF_REPLAYED', 'call token was already used');
    if (expiries.size >= SEEN_MAX) throw new Refusal('RATE_LIMITED', 'too many calls are in flight');
    expiries.set(jti, exp);
  };
}
