import { chmod, lstat, mkdir, mkdtemp, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Refusal } from '../refusal.ts';
import type { Owner } from './postgres-launcher.ts';
import { identityOf } from './process-identity.ts';

/**
 * What an earlier run may have left: a server that still runs, its pid file, its socket. Whoever calls holds the
 * data directory's lock, so nobody else is starting the same server now.
 */
const END_TIMEOUT_MS = 20_000;
const KILL_TIMEOUT_MS = 5_000;
const POLL_MS = 25;

/** The kernel cuts socket paths at 107 bytes; the folder must leave room for `/.s.PGSQL.5432.lock`. */
const SOCKET_DIRECTORY_BYTES_MAX = 80;

/** The port is only part of the socket's name: the server listens on no network. */
export const SOCKET_PORT = 5432;

/**
 * Makes a data folder startable. A live server in it is ended in order. Its pid file is not deleted, but made to
 * name us: PostgreSQL takes the pid of its own parent as left over and then still checks the shared memory that
 * the file names, so that a backend which outlived its server keeps a second one out. The pid in it could otherwise
 * be a zombie's or, used again, any program's, and PostgreSQL would refuse to start for ever.
 */
export async function settleLastServer(folder: string, log: (line: string) => void): Promise<void> {
  const file = join(folder, 'postmaster.pid');
  const pid = await pidIn(file);
  if (pid !== undefined && (await isServerOf(pid, folder))) await endServer(pid, folder, log);
  const lines = await linesIn(file);
  if (lines === undefined) return;
  // An empty file is one whose writing was cut short; PostgreSQL would refuse it.
  if (lines.length < 2) await rm(file, { force: true });
  else await writeFile(file, [`${process.pid}`, ...lines.slice(1)].join('\n'));
}

async function endServer(pid: number, folder: string, log: (line: string) => void): Promise<void> {
  log(`ending PostgreSQL (pid ${pid}), which an earlier run left behind`);
  process.kill(pid, 'SIGINT');
  if (await endsWithin(pid, folder, END_TIMEOUT_MS)) return;
  process.kill(pid, 'SIGKILL');
  if (await endsWithin(pid, folder, KILL_TIMEOUT_MS)) return;
  throw new Refusal(
    'DATA_IN_USE',
    `PostgreSQL (pid ${pid}) of an earlier run cannot be ended: end it, then start again`,
  );
}

async function endsWithin(pid: number, folder: string, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (Date.now() < deadline) {
    if (!(await isServerOf(pid, folder))) return true;
    await delay(POLL_MS);
  }
  return false;
}

/** We start servers with `-D folder`; a process that does not say so is not ours to signal. */
async function isServerOf(pid: number, folder: string): Promise<boolean> {
  const commandLine = (await identityOf(pid))?.commandLine ?? '';
  return commandLine.includes(`postgres -D ${folder} `);
}

async function pidIn(file: string): Promise<number | undefined> {
  const pid = Number((await linesIn(file))?.[0]);
  return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
}

async function linesIn(file: string): Promise<string[] | undefined> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  return text?.split('\n');
}

/**
 * A folder for the socket, outside the data directory because a socket's path must be short. Its name is kept, so
 * that the server has the same address after a restart and clients find it again by themselves.
 */
export async function openSocketDirectory(record: string, owner: Owner): Promise<string> {
  const recorded = (await readFile(record, 'utf8').catch(() => '')).trim();
  if (recorded !== '' && (await isReopened(recorded, owner))) return recorded;
  const made = await mkdtemp(join(shortTemporaryDirectory(), 'firebreak-'));
  await writeFile(record, made, { mode: 0o600 });
  return made;
}

/** Everybody may write beside it, so a folder that is not as we left it is somebody else's now. */
async function isReopened(path: string, owner: Owner): Promise<boolean> {
  try {
    await mkdir(path, { mode: 0o700 });
    return true;
  } catch {
    const found = await lstat(path).catch(() => undefined);
    if (found === undefined || !found.isDirectory()) return false;
    if (found.uid !== owner.uid && found.uid !== process.getuid?.()) return false;
    await chmod(path, 0o700);
    await removeSockets(path);
    return true;
  }
}

/** Removes what is ours by name and the folder only when nothing else is in it. */
export async function closeSocketDirectory(path: string): Promise<void> {
  await removeSockets(path);
  await rmdir(path).catch(() => undefined);
}

async function removeSockets(path: string): Promise<void> {
  const socket = join(path, `.s.PGSQL.${SOCKET_PORT}`);
  await rm(socket, { force: true });
  await rm(`${socket}.lock`, { force: true });
}

function shortTemporaryDirectory(): string {
  const named = tmpdir();
  return Buffer.byteLength(named) > SOCKET_DIRECTORY_BYTES_MAX - '/firebreak-XXXXXX'.length ? '/tmp' : named;
}
