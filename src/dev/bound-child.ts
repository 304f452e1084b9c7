import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { Refusal } from '../refusal.ts';

/**
 * A server of somebody else's that lives as long as we do. Where the kernel offers it, the child is signalled when
 * its parent dies, however that happens; elsewhere (macOS) the next start ends it as an orphan.
 */
export type BoundChild = {
  pid: number;
  /** Settles when the process has ended, and says how; never rejects. */
  exited: Promise<string>;
  isRunning(): boolean;
  /** The last lines of its standard error, oldest first. */
  lastWords(): readonly string[];
  /** Asks it to end; when it has not within the time, kills it and refuses. Safe to call twice. */
  stop(signal: NodeJS.Signals, timeoutMs: number): Promise<void>;
};

type BoundChildOptions = { name: string; command: readonly string[]; log: (line: string) => void };

type DeathSignal = 'INT' | 'TERM';

const PROBE_TIMEOUT_MS = 5_000;
const KILL_TIMEOUT_MS = 5_000;
const LAST_WORDS_MAX = 20;

export async function spawnBound({ name, command, log }: BoundChildOptions): Promise<BoundChild> {
  const [file = '', ...rest] = command;
  // A process group of its own: Ctrl-C in a terminal must reach us alone, who stop the parts in order.
  const child = spawn(file, rest, {
    detached: true,
    env: childEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = untilExit(child);
  const words = hearLines(child, (line) => log(`${name}: ${line}`));
  const { pid } = child;
  if (pid === undefined) throw new Refusal('SETUP_FAILED', `cannot run ${file}: ${await exited}`);
  const isRunning = () => child.exitCode === null && child.signalCode === null;
  return {
    pid,
    exited,
    isRunning,
    lastWords: () => words,
    async stop(signal, timeoutMs) {
      if (!isRunning()) return;
      child.kill(signal);
      if (await settlesWithin(exited, timeoutMs)) return;
      child.kill('SIGKILL');
      await settlesWithin(exited, KILL_TIMEOUT_MS);
      throw new Refusal('INTERNAL', `${name} (pid ${pid}) did not end within ${timeoutMs} ms and was killed`);
    },
  };
}

/** Our own environment holds secrets and settings that a server must not see or heed (`PGPORT`, `TEMPORAL_*`). */
export function childEnvironment(): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR } = process.env;
  const kept = Object.entries({ PATH, HOME, TMPDIR }).filter(([, value]) => value !== undefined);
  return { ...Object.fromEntries(kept), LC_ALL: 'C' };
}

/** The words to put before a command so that it gets `signal` when its parent dies; none where that is unknown. */
export async function deathSignalCommand(signal: DeathSignal): Promise<readonly string[]> {
  const words = ['setpriv', '--pdeathsig', signal, '--'];
  return (await succeeds([...words, 'true'])) ? words : [];
}

/** Whether a short command runs here and ends with 0. */
export async function succeeds([file = '', ...rest]: readonly string[]): Promise<boolean> {
  const child = spawn(file, rest, { env: childEnvironment(), stdio: 'ignore', timeout: PROBE_TIMEOUT_MS });
  return (await untilExit(child)) === 'code 0';
}

async function untilExit(child: ChildProcess): Promise<string> {
  try {
    await once(child, 'exit');
  } catch (error) {
    // The only error of a child without messages: it could not be started.
    return error instanceof Error ? error.message : 'unknown error';
  }
  return child.signalCode === null ? `code ${child.exitCode}` : `signal ${child.signalCode}`;
}

function hearLines(child: ChildProcess, heard: (line: string) => void): readonly string[] {
  const words: string[] = [];
  const listen = (stream: NodeJS.ReadableStream | null) => {
    if (stream === null) return;
    createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', (line) => {
      words.push(line);
      if (words.length > LAST_WORDS_MAX) words.shift();
      heard(line);
    });
  };
  listen(child.stdout);
  listen(child.stderr);
  return words;
}

async function settlesWithin(settling: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  const abort = new AbortController();
  const late = delay(timeoutMs, false, { signal: abort.signal }).catch(() => false);
  const settled = await Promise.race([settling.then(() => true), late]);
  abort.abort();
  return settled;
}
