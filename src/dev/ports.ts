import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { Refusal } from '../refusal.ts';

/** Everything of `dev` listens on loopback alone. */
export const HOST = '127.0.0.1';

/** Below where kernels take the ports of outgoing connections from: one of those could be taken a moment later. */
const FIRST_PORT = 20_000;
const LAST_PORT = 32_000;
const TRIES_MAX = 1_000;

export async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  try {
    probe.listen({ host: HOST, port });
    await once(probe, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    probe.close();
  }
}

/** @param taken ports that are spoken for although nobody listens there yet; the found one is added. */
export async function findFreePort(taken: Set<number>): Promise<number> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const port = randomInt(FIRST_PORT, LAST_PORT);
    if (taken.has(port) || !(await isFree(port))) continue;
    taken.add(port);
    return port;
  }
  throw new Refusal('SETUP_FAILED', `no port from ${FIRST_PORT} to ${LAST_PORT} on ${HOST} is free`);
}
