import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { text } from 'node:stream/consumers';

/**
 * One POST between two domains, over connections that stay open. Not `fetch`: that costs a millisecond of each side's
 * processor more, six times a request. A redirect is an answer like any other, and nobody follows it.
 */
export type Posted = { status: number; body: string };

type Post = { headers: Record<string, string>; body: string; timeoutMs: number };

const ways = {
  'http:': { request: requestHttp, agent: new HttpAgent({ keepAlive: true }) },
  'https:': { request: requestHttps, agent: new HttpsAgent({ keepAlive: true }) },
};

/** Rejects when there is no whole answer within the time. */
export async function post(url: string, { headers, body, timeoutMs }: Post): Promise<Posted> {
  const { request, agent } = wayOf(new URL(url));
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const sent = request(url, {
    method: 'POST',
    headers: { ...headers, 'content-length': Buffer.byteLength(body) },
    agent,
  });
  const timer = setTimeout(() => sent.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  sent.on('response', resolve).on('error', reject).end(body);
  try {
    const response = await promise;
    return { status: response.statusCode ?? 0, body: await text(response) };
  } finally {
    clearTimeout(timer);
  }
}

function wayOf({ protocol }: URL) {
  if (protocol === 'http:' || protocol === 'https:') return ways[protocol];
  throw new TypeError(`expected http or https, got ${protocol}`);
}
