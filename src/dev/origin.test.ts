import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import Fastify, { type FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { domains } from '../domains.ts';
import { createLog } from '../log.ts';
import { type Settings } from '../settings.ts';
import { dataDirectory } from './data-directory.ts';
import { createOrigin } from './origin.ts';
import { HOST } from './ports.ts';
import { missingParts } from './readiness.ts';
import { prepareRunSettings } from './run-settings.ts';

/** Each domain is a server that says who it is and what reached it. */
let settings: Settings;
let origin: FastifyInstance;
let directory: string;
const servers = new Map<string, FastifyInstance>();
const down = new Set<string>();
let seen: string[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'firebreak-'));
  ({ settings } = await prepareRunSettings(dataDirectory(directory), { port: 0 }));
  for (const domain of domains) servers.set(domain, await echo(domain));
  const log = createLog('test', 'silent');
  const parts = new Map(domains.map((domain) => [domain, { pid: down.has(domain) ? undefined : 1 }]));
  origin = await createOrigin({
    settings,
    log,
    missing: async () => await missingParts(parts, settings.addresses),
  });
  await origin.listen({ host: HOST, port: Number(new URL(settings.deployment.origin).port) });
});
afterAll(async () => {
  await origin.close();
  for (const server of servers.values()) await server.close();
  await rm(directory, { recursive: true, force: true });
});

async function echo(domain: (typeof domains)[number]): Promise<FastifyInstance> {
  const server = Fastify({ forceCloseConnections: true });
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  server.get('/healthz', async () => ({ status: 'ok' }));
  server.get('/readyz', async (_request, reply) =>
    down.has(domain)
      ? await reply.code(503).send({ status: 'not-ready', missing: ['temporal'] })
      : { status: 'ready', missing: [] },
  );
  server.get('/v1/slow', async () => {
    await delay(1_500);
    return { domain };
  });
  server.all('*', async (request, reply) => {
    seen.push(`${domain} ${request.raw.url ?? ''}`);
    const body = Buffer.isBuffer(request.body) ? request.body.toString('base64') : '';
    return await reply.code(207).header('x-answer', 'as it is').send({ domain, url: request.raw.url, body });
  });
  const { hostname, port } = new URL(settings.addresses[domain]);
  await server.listen({ host: hostname, port: Number(port) });
  return server;
}

const get = async (path: string, init?: RequestInit) =>
  await fetch(`${settings.deployment.origin}${path}`, init);

/** By hand, because `fetch` would tidy the path up before it sends it. */
async function raw(path: string): Promise<string> {
  const socket = connect({ host: HOST, port: Number(new URL(settings.deployment.origin).port) });
  await once(socket, 'connect');
  socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  return await text(socket);
}

describe('routes', () => {
  test.each([
    ['/v1/requests?wait=30s', 'gateway'],
    ['/oauth/token', 'broker'],
    ['/.well-known/jwks.json', 'broker'],
    ['/slack/events', 'people'],
    ['/ledger/checkpoint', 'ledger'],
  ])('%s goes to %s', async (path, domain) => {
    const response = await get(path);
    expect(response.status).toBe(207);
    expect(response.headers.get('x-answer')).toBe('as it is');
    expect(await response.json()).toMatchObject({ domain, url: path });
  });

  test('a body passes unread, byte for byte, whatever it calls itself', async () => {
    const body = Buffer.from([0x7b, 0xff, 0x00, 0x0a, 0x7d]);
    for (const type of ['application/json', 'application/x-www-form-urlencoded', 'text/plain']) {
      const response = await get('/v1/requests', { method: 'POST', headers: { 'content-type': type }, body });
      expect(await response.json()).toMatchObject({ body: body.toString('base64') });
    }
  });

  test('an answer that takes its time is waited for', async () => {
    expect(await (await get('/v1/slow')).json()).toEqual({ domain: 'gateway' });
  });
});

describe('calls between domains', () => {
  test.each([
    '/call/mint',
    '/v1/../call/mint',
    '/v1/%2e%2e/call/mint',
    '/v1/.%2E/call/mint',
    '/v1/x/..\\..\\call/mint',
    '/v1\\..\\call/mint',
    '/oauth/../call/mint',
    '//call/mint',
    '/ledger/..%2f../call/mint',
    '/slack/events/../../call/ask',
    'http://127.0.0.1/v1/../call/mint',
  ])('%s reaches no call', async (path) => {
    seen = [];
    const answer = await raw(path);
    expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect(seen).toEqual([]);
  });

  test('a path without detours does', async () => {
    seen = [];
    expect(await raw('/v1/requests')).toMatch(/^HTTP\/1\.1 207 /);
    expect(seen).toEqual(['gateway /v1/requests']);
  });
});

describe('readiness', () => {
  test('is said when every domain is ready', async () => {
    const response = await get('/readyz');
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ status: 'ready', missing: [], mode: 'development' });
  });

  test('names what is missing, and whose word that is', async () => {
    down.add('gateway');
    await servers.get('gate')?.close();
    const response = await get('/readyz');
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({
      status: 'not-ready',
      missing: ['gate', 'gateway: temporal'],
    });
  });

  test('a domain that is away is UNAVAILABLE, in the form of every refusal', async () => {
    await servers.get('people')?.close();
    const response = await get('/slack/events', { method: 'POST', body: 'x' });
    expect(response.status).toBe(503);
    expect(response.headers.get('content-type')).toContain('application/problem+json');
    expect(await response.json()).toMatchObject({ code: 'UNAVAILABLE' });
  });
});
