import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { Refusal } from '../../refusal.ts';
import { nowS, type PeopleDoor } from './door.ts';
import type { SlackApp } from './slack.ts';
import { SIGNATURE_AGE_MAX_S, verifySlackSignature } from './slack-signature.ts';

/** Where Slack knocks: signed bytes once, one form with one payload, and then Bolt. */
const PATH = '/slack/events';
const FORM = 'application/x-www-form-urlencoded';
/** Slack's interactions carry the message with them; the largest seen are far below this. */
const BODY_MAX_BYTES = 512 * 1_024;

type RouteOptions = { door: PeopleDoor; app: SlackApp; signingSecret: string };

export function registerSlackRoute(server: FastifyInstance, options: RouteOptions): void {
  void server.register(async (scope) => {
    // The signature is over bytes: nothing may decode them before.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(
      '*',
      { parseAs: 'buffer', bodyLimit: BODY_MAX_BYTES },
      (_request, body, done) => done(null, body),
    );
    scope.post(PATH, { bodyLimit: BODY_MAX_BYTES }, async (request, reply) => {
      const answer = await receive(request, options);
      return await reply.code(200).send(answer ?? '');
    });
  });
}

async function receive(
  request: FastifyRequest,
  { door, app, signingSecret }: RouteOptions,
): Promise<unknown> {
  const body = request.body instanceof Uint8Array ? request.body : new Uint8Array();
  const { rawHeaders } = request.raw;
  const signature = verifySlackSignature({ rawHeaders, body }, { secret: signingSecret, nowS: nowS(door) });
  const payload = payloadOf(request.headers['content-type'], body);
  await rememberSignature(door, signature);
  return await app.handle(payload);
}

const rememberedSchema = z.object({ fresh: z.boolean() });

/** Durable, for as long as the signature would verify: Bolt lets every replay within five minutes through. */
async function rememberSignature(door: PeopleDoor, signature: string): Promise<void> {
  const expiresAt = new Date(door.clock() + 2 * SIGNATURE_AGE_MAX_S * 1_000);
  const [row] = await door.database.rows(rememberedSchema, 'select firebreak.remember($1, $2) as fresh', [
    `slack ${signature}`,
    expiresAt,
  ]);
  if (row?.fresh !== true) throw new Refusal('SLACK_REPLAYED', 'this interaction was already received');
}

const payloadSchema = z.record(z.string(), z.unknown());

function payloadOf(contentType: string | undefined, body: Uint8Array): Record<string, unknown> {
  if (contentType?.split(';')[0]?.trim().toLowerCase() !== FORM) {
    throw new Refusal('INVALID_INPUT', `expected content-type ${FORM}`);
  }
  const form = new URLSearchParams(decode(body));
  const payloads = form.getAll('payload');
  const [payload] = payloads;
  if (payload === undefined || payloads.length !== 1 || form.size !== 1) {
    throw new Refusal('INVALID_INPUT', 'expected a form with exactly one payload');
  }
  try {
    return payloadSchema.parse(JSON.parse(payload));
  } catch (cause) {
    throw new Refusal('MALFORMED_JSON', 'expected payload to be a JSON object', { cause });
  }
}

function decode(body: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch (cause) {
    throw new Refusal('INVALID_INPUT', 'expected UTF-8', { cause });
  }
}
