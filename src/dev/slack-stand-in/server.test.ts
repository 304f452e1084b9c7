import { randomBytes } from 'node:crypto';
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { webApi } from '@slack/bolt';
import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { createHttpServer } from '../../call/serve.ts';
import { createLog } from '../../log.ts';
import { signatureOf } from './deliver.ts';
import { registerSlackStandIn } from './server.ts';

const TOKEN = 'xoxb-of-a-test';
const SECRET = 'the-signing-secret-of-a-test';
const people = [
  { id: 'olga', name: 'Olga', slack: 'T1/U1' },
  { id: 'mia', name: 'Mia', slack: 'T1/U2' },
  { id: 'gus', name: 'Gus', slack: 'T9/U9' },
];

/** What the app received, as raw as it came. */
type Received = { headers: Record<string, unknown>; body: string };
let directory: string;
let stateFile: string;
let appServer: FastifyInstance;
let received: Received[];
let answer: { status: number; delayMs: number };
let standIn: FastifyInstance;
let base: string;
let clock: { aheadMs: number };

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'stand-in-'));
  stateFile = join(directory, 'slack', 'state.json');
  received = [];
  answer = { status: 200, delayMs: 0 };
  clock = { aheadMs: 0 };
  appServer = Fastify({ forceCloseConnections: true });
  appServer.removeAllContentTypeParsers();
  appServer.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
  appServer.post('/slack/events', async ({ headers, body }, reply) => {
    received.push({ headers, body: String(body) });
    await new Promise((resolve) => setTimeout(resolve, answer.delayMs));
    return await reply.code(answer.status).send('');
  });
  await appServer.listen({ host: '127.0.0.1', port: 0 });
  await start();
});

afterEach(async () => {
  await standIn.close();
  await appServer.close();
  await rm(directory, { recursive: true, force: true });
});

async function start() {
  standIn = createHttpServer(createLog('test', 'silent'));
  // A host that reads JSON from whatever a page may send without asking.
  standIn.addContentTypeParser('text/plain', { parseAs: 'string' }, (_request, body, done) =>
    done(null, JSON.parse(String(body))),
  );
  registerSlackStandIn(standIn, {
    prefix: '/slack-stand-in',
    botToken: TOKEN,
    signingSecret: SECRET,
    eventsUrl: `${appServer.listeningOrigin}/slack/events`,
    team: 'T1',
    channels: [{ id: 'C1', name: 'approvals' }],
    people,
    stateFile,
    log: createLog('test', 'silent'),
    clock: () => Date.now() + clock.aheadMs,
  });
  await standIn.listen({ host: '127.0.0.1', port: 0 });
  base = `${standIn.listeningOrigin}/slack-stand-in`;
}

const nothing = () => undefined;
const silent: webApi.Logger = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  setLevel: nothing,
  getLevel: () => webApi.LogLevel.ERROR,
  setName: nothing,
};

/** Slack's own client, told to try once. */
function client(token = TOKEN) {
  return new webApi.WebClient(token, {
    slackApiUrl: `${base}/api/`,
    retryConfig: { retries: 0 },
    rejectRateLimitedCalls: true,
    logger: silent,
  });
}

async function say(message: webApi.ChatPostMessageArguments) {
  const { postMessage } = client().chat;
  return await postMessage(message);
}

const section = (text: string) => ({
  type: 'section' as const,
  text: { type: 'plain_text' as const, text, emoji: false },
});
const plain = (text: string) => ({ type: 'plain_text' as const, text });
const approve = {
  type: 'actions' as const,
  block_id: 'vote',
  elements: [
    {
      type: 'button' as const,
      action_id: 'approve',
      text: plain('Approve'),
      style: 'primary' as const,
      value: '7.x',
      confirm: {
        title: plain('Sure?'),
        text: plain('It runs.'),
        confirm: plain('Approve'),
        deny: plain('Back'),
      },
    },
    { type: 'button' as const, action_id: 'deny', text: plain('Deny'), value: '7.x' },
  ],
};

async function postCard() {
  const { ts } = await say({
    channel: 'C1',
    text: 'Card',
    blocks: [section('Hello'), approve],
  });
  return z.string().parse(ts);
}

async function post(path: string, body: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(`${base}/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return { status: response.status, json: z.record(z.string(), z.unknown()).parse(await response.json()) };
}

/** fetch sets Host and Origin itself; an attacker's browser has others. */
async function rawPost(path: string, body: string, headers: Record<string, string>): Promise<number> {
  const { port } = new URL(base);
  return await new Promise((resolve, reject) => {
    const sent = httpRequest(
      { host: '127.0.0.1', port, path: `/slack-stand-in/${path}`, method: 'POST', headers },
      (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

const errorOf = async (work: Promise<unknown>) =>
  await work.then(
    () => 'no error',
    (error: unknown) => (error instanceof webApi.WebAPIPlatformError ? error.data.error : String(error)),
  );

test('only the bot token opens the Web API', async () => {
  expect(await client().auth.test()).toMatchObject({ ok: true, team_id: 'T1' });
  expect(await errorOf(client('xoxb-another').auth.test())).toBe('invalid_auth');
});

test('a message is posted, updated in place and kept over a restart; another one is not found', async () => {
  const ts = await postCard();
  await client().chat.update({ channel: 'C1', ts, text: 'Done', blocks: [section('It is done')] });
  expect(await errorOf(client().chat.update({ channel: 'C1', ts: '1.000001', text: 'x' }))).toBe(
    'message_not_found',
  );
  expect(await errorOf(say({ channel: 'C2', text: 'x' }))).toBe('channel_not_found');
  await standIn.close();
  await start();
  const { messages } = await client().conversations.history({ channel: 'C1' });
  expect(messages).toMatchObject([{ ts, text: 'Done', blocks: [{ text: { text: 'It is done' } }] }]);
  expect((await readFile(stateFile, 'utf8')).includes('It is done')).toBe(true);
});

test('a line that a crash has cut off is left out, and the next start does not find it', async () => {
  const ts = await postCard();
  await standIn.close();
  await appendFile(stateFile, '{"type":"message","channel":"C1"');
  await start();
  const { messages } = await client().conversations.history({ channel: 'C1' });
  expect(messages).toMatchObject([{ ts }]);
  expect((await readFile(stateFile, 'utf8')).split('\n')).toHaveLength(2);
});

test.each([
  ['fifty-one blocks', Array.from({ length: 51 }, () => section('x')), 'invalid_blocks'],
  ['a section of 3001 characters', [section('x'.repeat(3_001))], 'invalid_blocks'],
  [
    'a button of 76 characters',
    [{ ...approve, elements: [{ ...approve.elements[1], text: plain('x'.repeat(76)) }] }],
    'invalid_blocks',
  ],
  ['an unknown member', [{ ...section('x'), colour: 'red' }], 'invalid_blocks'],
  [
    'too much text together',
    Array.from({ length: 5 }, () => section('x'.repeat(2_900))),
    'msg_blocks_too_long',
  ],
])('%s is refused as by Slack', async (_what, blocks, error) => {
  // The types of Slack's client forbid what a wrong program sends.
  expect(await errorOf(client().apiCall('chat.postMessage', { channel: 'C1', text: 'x', blocks }))).toBe(
    error,
  );
  const fitting = Array.from({ length: 50 }, () => section('x'));
  expect(await errorOf(say({ channel: 'C1', text: 'x', blocks: fitting }))).toBe('no error');
});

test('history is paged newest first, with metadata for who asks for it', async () => {
  for (const mark of ['a', 'b', 'c']) {
    await say({
      channel: 'C1',
      text: mark,
      metadata: { event_type: 'card', event_payload: { mark } },
    });
  }
  const first = await client().conversations.history({ channel: 'C1', limit: 2, include_all_metadata: true });
  const cursor = first.response_metadata?.next_cursor ?? '';
  const second = await client().conversations.history({ channel: 'C1', limit: 2, cursor });
  expect(first.messages?.map(({ text, metadata }) => [text, metadata?.event_payload])).toEqual([
    ['c', { mark: 'c' }],
    ['b', { mark: 'b' }],
  ]);
  expect(second.messages).toHaveLength(1);
  expect(second.messages?.[0]).not.toHaveProperty('metadata');
  expect(second.has_more).toBe(false);
});

test('a thread holds its first message and its answers, and the channel only the first', async () => {
  const ts = await postCard();
  await say({ channel: 'C1', text: 'answer', thread_ts: ts });
  const replies = await client().conversations.replies({ channel: 'C1', ts, oldest: '9999999999' });
  expect(replies.messages?.map(({ text }) => text)).toEqual(['Card']);
  const all = await client().conversations.replies({ channel: 'C1', ts });
  expect(all.messages?.map(({ text }) => text)).toEqual(['Card', 'answer']);
  expect((await client().conversations.history({ channel: 'C1' })).messages).toHaveLength(1);
});

test('a click reaches the app as a form that Slack’s scheme has signed', async () => {
  const message = await postCard();
  const { json } = await post('click', { channel: 'C1', message, action_id: 'approve', user: 'U2' });
  expect(json).toMatchObject({ ok: true, status: 200, late: false });
  const [{ headers, body } = { headers: {}, body: '' }] = received;
  const timestamp = String(headers['x-slack-request-timestamp']);
  expect(headers['x-slack-signature']).toBe(signatureOf({ timestamp, body, signingSecret: SECRET }));
  expect(headers['content-type']).toBe('application/x-www-form-urlencoded');
  expect(JSON.parse(new URLSearchParams(body).get('payload') ?? '')).toMatchObject({
    type: 'block_actions',
    team: { id: 'T1' },
    user: { id: 'U2', team_id: 'T1', username: 'mia' },
    channel: { id: 'C1' },
    message: { ts: message },
    container: { message_ts: message, channel_id: 'C1' },
    actions: [{ action_id: 'approve', block_id: 'vote', value: '7.x', type: 'button' }],
  });
});

test('the signature is Slack’s published example', async () => {
  const file = new URL('../../../test/vectors/slack/verify_v0.json', import.meta.url);
  const vector = z
    .object({
      signing_secret: z.string(),
      timestamp: z.string(),
      raw_body: z.string(),
      expected_header: z.string(),
    })
    .parse(JSON.parse(await readFile(file, 'utf8')));
  const { timestamp, raw_body: body, signing_secret: signingSecret, expected_header } = vector;
  expect(signatureOf({ timestamp, body, signingSecret })).toBe(expected_header);
});

test('an app that fails or is late is reported as Slack’s warning triangle', async () => {
  const message = await postCard();
  answer = { status: 503, delayMs: 0 };
  const click = { channel: 'C1', message, action_id: 'deny', user: 'U2' };
  expect((await post('click', click)).json).toMatchObject({ ok: false, status: 503, late: false });
  answer = { status: 200, delayMs: 3_300 };
  expect((await post('click', click)).json).toMatchObject({ ok: false, status: null, late: true });
});

test('only what stands in the channel can be clicked, by persons of the stand-in', async () => {
  const message = await postCard();
  const click = { channel: 'C1', message, action_id: 'approve', user: 'U2' };
  for (const wrong of [
    { action_id: 'other' },
    { user: 'U7' },
    { message: '1.000001' },
    { value: '8.x' },
    { more: 1 },
  ]) {
    expect((await post('click', { ...click, ...wrong })).json['code']).toBe('INVALID_INPUT');
  }
  expect(received).toEqual([]);
});

const view = {
  type: 'modal' as const,
  callback_id: 'reason',
  private_metadata: 'kept',
  title: plain('Why'),
  submit: plain('Send'),
  blocks: [
    {
      type: 'input' as const,
      block_id: 'preset',
      label: plain('Why'),
      element: {
        type: 'static_select' as const,
        action_id: 'preset',
        options: [{ text: plain('No'), value: 'no' }],
      },
    },
    {
      type: 'input' as const,
      block_id: 'words',
      optional: true,
      label: plain('Words'),
      element: { type: 'plain_text_input' as const, action_id: 'words', max_length: 5 },
    },
  ],
};

async function clickTrigger(user: string): Promise<string> {
  await post('click', { channel: 'C1', message: await postCard(), action_id: 'deny', user });
  const payload: unknown = JSON.parse(new URLSearchParams(received.at(-1)?.body).get('payload') ?? '');
  return z.object({ trigger_id: z.string() }).parse(payload).trigger_id;
}

test('a trigger opens one window, once, in time, for the one who clicked', async () => {
  const trigger_id = await clickTrigger('U2');
  const opened = await client().views.open({ trigger_id, view });
  expect(await errorOf(client().views.open({ trigger_id, view }))).toBe('exchanged_trigger_id');
  expect(await errorOf(client().views.open({ trigger_id: 'x', view }))).toBe('invalid_trigger_id');
  const late = await clickTrigger('U2');
  clock.aheadMs = 3_001;
  expect(await errorOf(client().views.open({ trigger_id: late, view }))).toBe('expired_trigger_id');

  const id = z.object({ id: z.string() }).parse(opened.view).id;
  const values = { preset: 'no', words: 'ok' };
  expect((await post('submit', { view: id, user: 'U1', values })).json['code']).toBe('INVALID_INPUT');
  expect((await post('submit', { view: id, user: 'U2', values: { preset: 'maybe' } })).status).toBe(400);
  expect((await post('submit', { view: id, user: 'U2', values: { words: 'ok' } })).status).toBe(400);
  expect(
    (await post('submit', { view: id, user: 'U2', values: { ...values, words: 'toolong' } })).status,
  ).toBe(400);
  expect((await post('submit', { view: id, user: 'U2', values })).json).toMatchObject({ ok: true });
  expect(JSON.parse(new URLSearchParams(received.at(-1)?.body).get('payload') ?? '')).toMatchObject({
    type: 'view_submission',
    user: { id: 'U2' },
    view: {
      id,
      callback_id: 'reason',
      private_metadata: 'kept',
      state: {
        values: {
          preset: { preset: { type: 'static_select', selected_option: { value: 'no' } } },
          words: { words: { type: 'plain_text_input', value: 'ok' } },
        },
      },
    },
  });
  // Taken, so closed.
  expect((await post('submit', { view: id, user: 'U2', values })).json['code']).toBe('INVALID_INPUT');
});

test('another page in the developer’s browser clicks nothing', async () => {
  const message = await postCard();
  const body = JSON.stringify({ channel: 'C1', message, action_id: 'approve', user: 'U2' });
  const own = new URL(base).host;
  const json = { 'content-type': 'application/json', host: own };
  const outsiders: Record<string, string>[] = [
    { ...json, origin: 'https://evil.test' },
    { ...json, origin: 'null' },
    { ...json, origin: 'http://127.0.0.1:1' },
    { ...json, 'sec-fetch-site': 'cross-site' },
    // A name of the attacker's that now resolves to loopback: same origin to the browser, and not to us.
    { ...json, host: 'evil.test', origin: 'http://evil.test' },
    // What a page may send without asking first.
    { host: own, 'content-type': 'text/plain' },
    { host: own, 'content-type': 'application/x-www-form-urlencoded' },
    { host: own },
  ];
  for (const headers of outsiders) {
    for (const path of ['click', 'submit', 'control', 'dismiss']) {
      expect([400, 403]).toContain(await rawPost(path, body, headers));
    }
  }
  expect(received).toEqual([]);
  expect(
    await rawPost('click', body, { ...json, origin: `http://${own}`, 'sec-fetch-site': 'same-origin' }),
  ).toBe(200);
  expect(await rawPost('click', body, json)).toBe(200);
  expect(received).toHaveLength(2);
});

test('nobody clicks from another machine', async () => {
  const payload = { channel: 'C1', message: await postCard(), action_id: 'approve', user: 'U2' };
  const click = {
    method: 'POST',
    url: '/slack-stand-in/click',
    payload,
    headers: { host: 'localhost' },
  } as const;
  expect((await standIn.inject({ ...click, remoteAddress: '192.0.2.1' })).statusCode).toBe(403);
  expect(received).toEqual([]);
  expect((await standIn.inject({ ...click, remoteAddress: '127.0.0.1' })).statusCode).toBe(200);
});

test('trouble on demand: limited, down, and done without an answer', async () => {
  const faults = [
    { method: 'chat.postMessage', kind: 'limited', retryAfterS: 7 },
    { method: 'chat.postMessage', kind: 'down' },
    { method: 'chat.postMessage', kind: 'lost' },
  ];
  await post('control', { faults });
  const limited = await say({ channel: 'C1', text: 'x' }).catch((error: unknown) => error);
  expect(limited).toBeInstanceOf(webApi.WebAPIRateLimitedError);
  expect(limited).toMatchObject({ retryAfter: 7 });
  await expect(say({ channel: 'C1', text: 'x' })).rejects.toBeInstanceOf(webApi.SlackError);
  expect((await client().conversations.history({ channel: 'C1' })).messages).toEqual([]);
  await expect(say({ channel: 'C1', text: 'x' })).rejects.toBeInstanceOf(webApi.SlackError);
  expect((await client().conversations.history({ channel: 'C1' })).messages).toHaveLength(1);
  expect(await errorOf(say({ channel: 'C1', text: 'x' }))).toBe('no error');
});

async function pageOf(user: string): Promise<string> {
  return await (await fetch(`${base}?as=${user}`)).text();
}

test('the page shows every text as text, and decodes exactly what Slack decodes', async () => {
  const text =
    '<b>&amp;lt;img src=x&gt; &quot; </section><script>alert(1)</script> *bold* <https://evil.test|safe>';
  await say({ channel: 'C1', text: 'x', blocks: [section(text)] });
  const page = await pageOf('U1');
  expect(page).toContain(
    '&lt;b&gt;&amp;lt;img src=x&gt; &amp;quot; &lt;/section&gt;&lt;script&gt;alert(1)&lt;/script&gt; *bold* &lt;https://evil.test|safe&gt;',
  );
  expect(page).not.toContain('<b>');
  expect(page.match(/<script/g)).toHaveLength(1);
  expect(page).toContain('Stand-in for Slack, for development.');
});

test('the page runs its own script alone, and stands in no frame', async () => {
  const { headers } = await fetch(base);
  const policy = headers.get('content-security-policy') ?? '';
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("frame-ancestors 'none'");
  expect(policy).not.toContain('unsafe');
  expect(headers.get('x-frame-options')).toBe('DENY');
});

test('what is told to one person alone is seen by nobody else', async () => {
  const told = randomBytes(8).toString('hex');
  await client().chat.postEphemeral({ channel: 'C1', user: 'U2', text: told });
  expect(await pageOf('U2')).toContain(told);
  expect(await pageOf('U1')).not.toContain(told);
  expect(await errorOf(client().chat.postEphemeral({ channel: 'C1', user: 'U7', text: 'x' }))).toBe(
    'user_not_in_channel',
  );
});

test('open pages hear of every change', async () => {
  const stream = await fetch(`${base}/changes`);
  const reader = z
    .instanceof(ReadableStream)
    .parse(stream.body)
    .pipeThrough(new TextDecoderStream())
    .getReader();
  expect((await reader.read()).value).toBe(': hello\n\n');
  await postCard();
  expect((await reader.read()).value).toBe('data: changed\n\n');
  await reader.cancel();
});
