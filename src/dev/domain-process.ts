import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Domain } from '../domains.ts';
import { Refusal } from '../refusal.ts';
import type { ChildLog } from './child-log.ts';
import type { Running } from './kept-part.ts';

/**
 * One trust domain as a process of its own. It has its own environment and nothing of ours, says `ready` over the
 * channel, and ends by itself when the channel breaks, which is how it notices that we were killed.
 */
type DomainStart = { domain: Domain; environment: NodeJS.ProcessEnv; log: ChildLog };

/** Two cores, nine processes, a first run without any cache. */
const READY_TIMEOUT_MS = 60_000;
/** Orchestrator, planner and executor finish what they are in the middle of. */
const STOP_TIMEOUT_MS = 25_000;

export async function startDomain({ domain, environment, log }: DomainStart): Promise<Running> {
  const child = fork(fileURLToPath(new URL(`../main/${domain}.ts`, import.meta.url)), [], {
    env: environment,
    execArgv: [],
    // A process group of its own: Ctrl-C in a terminal must reach us alone, who stop the parts in order.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const exited = untilExit(child);
  for (const stream of [child.stdout, child.stderr]) {
    if (stream !== null) createInterface({ input: stream }).on('line', log.hear);
  }
  const stop = async () => await end(child, exited);
  const state = await Promise.race([untilReady(child), exited, timeout()]);
  if (state === 'ready' && child.pid !== undefined) return { pid: child.pid, exited, stop };
  await stop();
  throw new Refusal('SETUP_FAILED', `${domain} did not start (${state}): ${log.lastWords()}`);
}

async function untilReady(child: ChildProcess): Promise<'ready'> {
  const { promise, resolve } = Promise.withResolvers<'ready'>();
  child.on('message', (message) => {
    if (message === 'ready') resolve('ready');
  });
  return await promise;
}

async function timeout(): Promise<string> {
  return await delay(READY_TIMEOUT_MS, `not ready after ${READY_TIMEOUT_MS} ms`, { ref: false });
}

async function untilExit(child: ChildProcess): Promise<string> {
  try {
    // `close` and not `exit`: by then its last lines are read.
    await once(child, 'close');
  } catch (error) {
    return error instanceof Error ? error.message : 'unknown error';
  }
  return child.signalCode === null ? `code ${child.exitCode}` : `signal ${child.signalCode}`;
}

/** @throws when it had to be killed: whatever it was in the middle of is then settled at the next start. */
async function end(child: ChildProcess, exited: Promise<string>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  const abort = new AbortController();
  const late = delay(STOP_TIMEOUT_MS, 'late', { signal: abort.signal }).catch(() => 'late');
  const settled = await Promise.race([exited, late]);
  abort.abort();
  if (settled !== 'late') return;
  child.kill('SIGKILL');
  await exited;
}
