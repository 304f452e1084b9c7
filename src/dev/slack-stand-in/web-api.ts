import { timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type Arguments, parseArguments, readArguments, readStructure } from './api-arguments.ts';
import { postEphemeral, postMessage, updateMessage } from './api-chat.ts';
import { history, replies } from './api-conversations.ts';
import { ApiError } from './api-error.ts';
import { viewSchema } from './blocks.ts';
import type { Fault, Faults } from './faults.ts';
import type { StandIn } from './stand-in.ts';
import { app } from './workspace.ts';

/** Slack's Web API: the methods that Bolt and our door use, by Slack's envelopes. */
const BODY_MAX_BYTES = 1_024 * 1_024;

type Method = (standIn: StandIn, given: Arguments) => Promise<object>;

const methods: ReadonlyMap<string, Method> = new Map([
  ['auth.test', authTest],
  ['chat.postMessage', postMessage],
  ['chat.update', updateMessage],
  ['chat.postEphemeral', postEphemeral],
  ['views.open', openView],
  ['conversations.history', history],
  ['conversations.replies', replies],
]);

/** @param scope a scope of its own: it takes bodies of every type, unread. */
export function registerWebApi(scope: FastifyInstance, standIn: StandIn, faults: Faults): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', { parseAs: 'string', bodyLimit: BODY_MAX_BYTES }, (_request, body, done) =>
    done(null, body),
  );
  const url = `${standIn.options.prefix}/api/:method`;
  scope.post<{ Params: { method: string } }>(url, { bodyLimit: BODY_MAX_BYTES }, async (request, reply) => {
    const { method } = request.params;
    const fault = faults.take(method);
    if (fault !== undefined && fault.kind !== 'lost') return await refuse(reply, fault);
    const answer = await answerTo(standIn, method, request);
    // Done, and nobody hears of it.
    if (fault?.kind === 'lost') return request.raw.socket.destroy();
    return await reply.send(answer);
  });
}

async function refuse(reply: FastifyReply, { kind, error, retryAfterS }: Fault) {
  if (kind === 'refused') return await reply.send({ ok: false, error });
  return kind === 'limited'
    ? await reply
        .code(429)
        .header('retry-after', String(retryAfterS))
        .send({ ok: false, error: 'ratelimited' })
    : await reply.code(503).type('text/plain').send('Service Unavailable');
}

async function answerTo(standIn: StandIn, name: string, request: FastifyRequest): Promise<object> {
  try {
    const method = methods.get(name);
    if (method === undefined) throw new ApiError('unknown_method');
    const { body } = request;
    const given = readArguments(request.headers['content-type'], typeof body === 'string' ? body : '');
    checkToken(standIn, tokenOf(request.headers.authorization, given));
    return { ok: true, ...(await method(standIn, given)) };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const { messages } = error;
    standIn.options.log.debug({ method: name, error: error.error, messages }, 'Slack stand-in refuses');
    const more = messages.length === 0 ? {} : { response_metadata: { messages } };
    return { ok: false, error: error.error, ...more };
  }
}

function tokenOf(header: string | undefined, { token }: Arguments): string | undefined {
  const bearer = /^Bearer (\S+)$/i.exec(header ?? '')?.[1];
  return bearer ?? (typeof token === 'string' ? token : undefined);
}

function checkToken({ options }: StandIn, token: string | undefined): void {
  if (token === undefined) throw new ApiError('not_authed');
  const [given, own] = [Buffer.from(token), Buffer.from(options.botToken)];
  if (given.length !== own.length || !timingSafeEqual(given, own)) throw new ApiError('invalid_auth');
}

async function authTest({ options }: StandIn): Promise<object> {
  return {
    url: 'https://stand-in.invalid/',
    team: 'Stand-in',
    user: app.name,
    team_id: options.team,
    user_id: app.user,
    bot_id: app.bot,
  };
}

const openSchema = z.object({ trigger_id: z.string(), view: z.unknown() });

async function openView({ windows, options }: StandIn, given: Arguments): Promise<object> {
  const { trigger_id, view } = parseArguments(openSchema, given);
  const words = { form: 'invalid_arguments', content: 'invalid_arguments' };
  const opened = windows.open(trigger_id, readStructure(viewSchema, view, words));
  if (typeof opened === 'string') throw new ApiError(opened);
  return { view: { ...opened.view, id: opened.id, team_id: options.team, app_id: app.id, bot_id: app.bot } };
}
