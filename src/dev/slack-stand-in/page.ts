import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { Refusal } from '../../refusal.ts';
import type { Faults } from './faults.ts';
import { controlSchema } from './faults.ts';
import { click, clickSchema, submit, submitSchema } from './interactions.ts';
import type { LiveChanges } from './live-changes.ts';
import { fragmentHtml, pageHtml, type Seen } from './page-html.ts';
import { refuseOutsiders } from './same-origin.ts';
import type { StandIn } from './stand-in.ts';

/** The page, what it asks for, and what is done on it; for this machine's own pages and scripts alone. */

const style = readFileSync(new URL('page.css', import.meta.url), 'utf8');
const script = readFileSync(new URL('page.js', import.meta.url), 'utf8');

type Parts = { standIn: StandIn; faults: Faults; changes: LiveChanges };

export function registerPage(scope: FastifyInstance, parts: Parts): void {
  const { standIn, faults, changes } = parts;
  const { prefix } = standIn.options;
  scope.addHook('onRequest', async (request) => refuseOutsiders(request));
  scope.addHook('onRequest', async (request) => takeJsonAlone(request));
  scope.get(prefix, async (request, reply) => {
    return await asHtml(reply).send(pageHtml(seenBy(standIn, request.query), { style, script }));
  });
  scope.get(`${prefix}/fragment`, async (request, reply) => {
    return await asHtml(reply).send(fragmentHtml(seenBy(standIn, request.query)));
  });
  scope.get(`${prefix}/changes`, (_request, reply) => {
    reply.hijack();
    changes.follow(reply.raw);
  });
  scope.post(`${prefix}/click`, async ({ body }) => await click(standIn, read(clickSchema, body)));
  scope.post(`${prefix}/submit`, async ({ body }) => await submit(standIn, read(submitSchema, body)));
  scope.post(`${prefix}/dismiss`, async ({ body }) => {
    const { view, user } = read(dismissSchema, body);
    if (standIn.windows.find(view, user) !== undefined) standIn.windows.close(view);
    return { ok: true };
  });
  scope.get(`${prefix}/windows`, async ({ query }) => {
    const { as } = seenBy(standIn, query);
    return standIn.windows.openFor(as.user);
  });
  scope.post(`${prefix}/control`, async ({ body }) => {
    faults.set(read(controlSchema, body).faults);
    return { faults: faults.all() };
  });
}

const dismissSchema = z.strictObject({ view: z.string(), user: z.string() });

/** No other type: a page of another site can send forms and plain text without asking, and JSON it cannot. */
function takeJsonAlone({ method, headers }: FastifyRequest): void {
  if (method === 'POST' && headers['content-type']?.split(';')[0]?.trim() !== 'application/json') {
    throw new Refusal('INVALID_INPUT', 'expected content-type application/json');
  }
}

function read<S extends z.ZodType>(schema: S, body: unknown): z.infer<S> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new Refusal('INVALID_INPUT', z.prettifyError(parsed.error), { cause: parsed.error });
}

const querySchema = z.object({ as: z.string().optional(), channel: z.string().optional() });

function seenBy(standIn: StandIn, query: unknown): Seen {
  const asked = read(querySchema, query);
  const as = standIn.accounts.find(({ user }) => asked.as === undefined || user === asked.as);
  const channel = standIn.options.channels.find(
    ({ id }) => asked.channel === undefined || id === asked.channel,
  );
  if (as === undefined || channel === undefined) {
    throw new Refusal('INVALID_INPUT', 'expected a person and a channel of the stand-in');
  }
  return { standIn, as, channel };
}

const hashOf = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

const POLICY = [
  "default-src 'none'",
  `script-src ${hashOf(script)}`,
  `style-src ${hashOf(style)}`,
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

function asHtml(reply: FastifyReply): FastifyReply {
  return reply
    .type('text/html; charset=utf-8')
    .header('content-security-policy', POLICY)
    .header('x-content-type-options', 'nosniff')
    .header('x-frame-options', 'DENY')
    .header('referrer-policy', 'no-referrer')
    .header('cross-origin-opener-policy', 'same-origin')
    .header('cross-origin-resource-policy', 'same-origin')
    .header('cache-control', 'no-store');
}
