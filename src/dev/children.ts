import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { Refusal } from '../refusal.ts';
import { identityOf } from './process-identity.ts';

/**
 * Which processes a supervisor started, kept beside its data, so that a start after `kill -9` of the supervisor
 * finds what it left and ends it. A child is named by pid and start time: a pid that means another process by
 * now is never signalled. Whoever calls holds the data directory's lock.
 */
const TERM_TIMEOUT_MS = 10_000;
const KILL_TIMEOUT_MS = 5_000;
const POLL_MS = 25;

const childRecord = z.strictObject({
  name: z.string().min(1),
  pid: z.int().positive(),
  started: z.string().min(1),
  signal: z.enum(['SIGTERM', 'SIGINT']),
});

type ChildRecord = z.infer<typeof childRecord>;

type Child = {
  /** One record a name; `[a-z0-9-]` alone, since it names a file. */
  name: string;
  pid: number;
  /** What asks this child to end in order; PostgreSQL's SIGTERM would wait for its clients. */
  signal?: ChildRecord['signal'];
};

/** Durable enough once it resolves: it survives the process, not the machine, and after a boot no pid holds. */
export async function recordChild(directory: string, child: Child): Promise<void> {
  if (!/^[a-z0-9-]+$/.test(child.name))
    throw new Refusal('INTERNAL', `child name ${child.name} is no file name`);
  const identity = await identityOf(child.pid);
  // Already gone: nothing is left to end.
  if (identity === undefined) return;
  const record: ChildRecord = {
    name: child.name,
    pid: child.pid,
    started: identity.started,
    signal: child.signal ?? 'SIGTERM',
  };
  const file = join(recordsOf(directory), `${child.name}.json`);
  await mkdir(recordsOf(directory), { recursive: true, mode: 0o700 });
  await writeFile(`${file}.new`, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

/** Ends every recorded child that still lives, all at once, and forgets them. Safe to call when there are none. */
export async function endOrphans(
  directory: string,
  log: (line: string) => void,
  timeoutMs = TERM_TIMEOUT_MS,
): Promise<void> {
  const files = await recordFiles(directory);
  await Promise.all(
    files.map(async (file) => {
      const record = await readRecord(file);
      if (record === undefined) log(`${file} is no record of a child and was removed`);
      else await endRecorded(record, log, timeoutMs);
      await rm(file, { force: true });
    }),
  );
}

async function endRecorded(
  record: ChildRecord,
  log: (line: string) => void,
  timeoutMs: number,
): Promise<void> {
  const { name, pid, started } = record;
  if (!(await lives(pid, started))) return;
  log(`ending ${name} (pid ${pid}), which an earlier run left behind`);
  signal(record, record.signal);
  if (await endsWithin(record, timeoutMs)) return;
  log(`${name} (pid ${pid}) did not end within ${timeoutMs} ms and is killed`);
  signal(record, 'SIGKILL');
  if (await endsWithin(record, KILL_TIMEOUT_MS)) return;
  throw new Refusal(
    'DATA_IN_USE',
    `${name} (pid ${pid}) of an earlier run cannot be ended: end it, then start again`,
  );
}

/** Between the look at the start time and the signal a pid could pass on; a kernel hands them out in turn. */
function signal({ name, pid }: ChildRecord, kind: NodeJS.Signals): void {
  try {
    process.kill(pid, kind);
  } catch (cause) {
    if (isCode(cause, 'ESRCH')) return;
    const sentence = `${name} (pid ${pid}) of an earlier run belongs to another user: end it, then start again`;
    throw new Refusal('DATA_IN_USE', sentence, { cause });
  }
}

async function endsWithin({ pid, started }: ChildRecord, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (Date.now() < deadline) {
    if (!(await lives(pid, started))) return true;
    await delay(POLL_MS);
  }
  return false;
}

async function lives(pid: number, started: string): Promise<boolean> {
  return (await identityOf(pid))?.started === started;
}

async function recordFiles(directory: string): Promise<string[]> {
  try {
    const names = await readdir(recordsOf(directory));
    return names.map((name) => join(recordsOf(directory), name));
  } catch (error) {
    if (isCode(error, 'ENOENT')) return [];
    throw error;
  }
}

async function readRecord(file: string): Promise<ChildRecord | undefined> {
  try {
    return childRecord.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch {
    // A half-written or foreign file names no process that we may signal.
    return undefined;
  }
}

function recordsOf(directory: string): string {
  return join(directory, 'children');
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
