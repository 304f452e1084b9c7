import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client, DatabaseError } from 'pg';
import { Refusal } from '../refusal.ts';
import { type BoundChild, childEnvironment, spawnBound } from './bound-child.ts';
import { findLauncher, handOver, type Launcher } from './postgres-launcher.ts';
import {
  closeSocketDirectory,
  openSocketDirectory,
  SOCKET_PORT,
  settleLastServer,
} from './postgres-leftovers.ts';

/**
 * A real PostgreSQL in a folder of the data directory, for `dev`, the demo and the tests. It listens on a unix
 * socket alone, asks every login for its password, and keeps what it acknowledged through `kill -9`.
 * It does not lock the data directory: the caller has done that, or made the directory a moment ago.
 */
export type PostgresServer = {
  pid: number;
  /** The same after each restart on one data directory. */
  socketDirectory: string;
  /** Settles when the server has ended, also by itself, and says how. */
  exited: Promise<string>;
  url: (login: string, password: string, database: string) => string;
  /** Ends it in order: open transactions are rolled back, everything is on disk. Safe to call twice. */
  stop(): Promise<void>;
};

type PostgresOptions = {
  /** The data directory; the database is the folder `name` in it. */
  directory: string;
  name: string;
  superuserPassword: string;
  log: (line: string) => void;
};

/** The login that initdb makes; migrations use it and nothing at run time does. */
export const SUPERUSER = 'postgres';

const INIT_TIMEOUT_MS = 60_000;
/** Replaying the log after a crash is part of a start. */
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 20_000;
const POLL_MS = 25;
const OCCUPIED_POLL_MS = 250;
const CONNECT_TIMEOUT_MS = 5_000;

/** SQLSTATE: the password is wrong; waiting does not mend it. */
const INVALID_PASSWORD = '28P01';

/** Nine domains with pools of eight, the target's logins, and a person with a shell. */
const CONNECTIONS_MAX = 120;

export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  await mkdir(options.directory, { recursive: true, mode: 0o700 });
  const directory = await realpath(options.directory);
  const folder = join(directory, options.name);
  const launcher = await findLauncher(directory);
  if (await isNew(folder)) await initialise({ ...options, directory, folder, launcher });
  else await changeOwner(folder, launcher);
  await settleLastServer(folder, options.log);
  const socketDirectory = await openSocketDirectory(`${folder}.socket`, launcher.owner);
  await handOver(socketDirectory, launcher.owner);
  const url = (login: string, password: string, database: string) =>
    urlOf({ login, password, database, socketDirectory });
  const command = launcher.command('postgres', ['-D', folder, ...settings(socketDirectory)]);
  try {
    const child = await launch({
      ...options,
      command,
      url: url(SUPERUSER, options.superuserPassword, 'postgres'),
    });
    return {
      pid: child.pid,
      socketDirectory,
      exited: child.exited,
      url,
      async stop() {
        await child.stop('SIGINT', STOP_TIMEOUT_MS);
        await closeSocketDirectory(socketDirectory);
      },
    };
  } catch (error) {
    await closeSocketDirectory(socketDirectory);
    throw error;
  }
}

async function isNew(folder: string): Promise<boolean> {
  const found = await stat(folder).catch(() => undefined);
  if (found === undefined) return true;
  const version = await stat(join(folder, 'PG_VERSION')).catch(() => undefined);
  if (version === undefined) {
    throw new Refusal(
      'SETUP_FAILED',
      `${folder} is there and is no PostgreSQL database: move it away and start again`,
    );
  }
  return false;
}

type Initialisation = {
  directory: string;
  folder: string;
  name: string;
  superuserPassword: string;
  launcher: Launcher;
};

/** Makes the database beside its place and renames it, so that half of one is never taken for a database. */
async function initialise({
  directory,
  folder,
  name,
  superuserPassword,
  launcher,
}: Initialisation): Promise<void> {
  await sweepDrafts(directory, name);
  const draft = await mkdtemp(`${folder}.new-`);
  const secrets = await mkdtemp(join(tmpdir(), 'firebreak-'));
  const passwordFile = join(secrets, 'password');
  try {
    await writeFile(passwordFile, superuserPassword, { mode: 0o600, flag: 'wx' });
    for (const path of [draft, secrets, passwordFile]) await handOver(path, launcher.owner);
    await runInitdb(launcher, draft, passwordFile);
    await rename(draft, folder);
  } finally {
    await rm(secrets, { recursive: true, force: true });
    await rm(draft, { recursive: true, force: true });
  }
}

async function sweepDrafts(directory: string, name: string): Promise<void> {
  const drafts = (await readdir(directory)).filter((entry) => entry.startsWith(`${name}.new-`));
  for (const draft of drafts) await rm(join(directory, draft), { recursive: true, force: true });
}

async function runInitdb(launcher: Launcher, folder: string, passwordFile: string): Promise<void> {
  const [file = '', ...rest] = launcher.command('initdb', [
    `--pgdata=${folder}`,
    `--username=${SUPERUSER}`,
    `--pwfile=${passwordFile}`,
    '--auth-local=scram-sha-256',
    '--auth-host=scram-sha-256',
    '--data-checksums',
    '--no-locale',
    '--encoding=UTF8',
    '--no-instructions',
  ]);
  try {
    await promisify(execFile)(file, rest, { env: childEnvironment(), cwd: '/', timeout: INIT_TIMEOUT_MS });
  } catch (cause) {
    const words = cause instanceof Error ? lastLine(cause.message.split('\n')) : '';
    throw new Refusal('SETUP_FAILED', `initdb failed: ${words}`, { cause });
  }
}

/** A data directory may have been made by another user, or on a machine where root ran it another way. */
async function changeOwner(folder: string, { owner }: Launcher): Promise<void> {
  if ((await stat(folder)).uid === owner.uid) return;
  if (process.getuid?.() !== 0) {
    throw new Refusal(
      'SETUP_FAILED',
      `${folder} belongs to another user: start as that user, or choose another --data`,
    );
  }
  await promisify(execFile)('chown', ['-R', `${owner.uid}:${owner.gid}`, folder]);
}

/** The whole configuration, on the command line: what the server runs with is what is written here. */
function settings(socketDirectory: string): string[] {
  const values = {
    listen_addresses: '',
    unix_socket_directories: socketDirectory,
    unix_socket_permissions: '0700',
    port: `${SOCKET_PORT}`,
    password_encryption: 'scram-sha-256',
    max_connections: `${CONNECTIONS_MAX}`,
    shared_buffers: '64MB',
    // An acknowledged vote or consumption must outlive a power cut, in `dev` too.
    fsync: 'on',
    synchronous_commit: 'on',
    full_page_writes: 'on',
    timezone: 'UTC',
    log_timezone: 'UTC',
    // Texts and values of statements hold inputs and passwords: the log must not.
    log_error_verbosity: 'terse',
    log_min_error_statement: 'panic',
    log_checkpoints: 'off',
  };
  return Object.entries(values).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

type Launch = { name: string; command: readonly string[]; url: string; log: (line: string) => void };

async function launch({ name, command, url, log }: Launch): Promise<BoundChild> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const child = await spawnBound({ name, command, log: withoutOurKnocks(log) });
    try {
      if (await answers(child, url, deadline)) return child;
    } catch (error) {
      await child.stop('SIGINT', STOP_TIMEOUT_MS);
      throw error;
    }
    await child.stop('SIGINT', STOP_TIMEOUT_MS);
    // Backends that outlived their server notice its death soon; until then a second server would harm the data.
    const occupied = child.lastWords().some((line) => /shared memory block .* is still in use/.test(line));
    if (!occupied || Date.now() > deadline) {
      throw new Refusal('SETUP_FAILED', `PostgreSQL ${name} did not start: ${lastLine(child.lastWords())}`);
    }
    await delay(OCCUPIED_POLL_MS);
  }
}

/** Each of our own questions that comes too early makes a line that would read like a fault. */
function withoutOurKnocks(log: (line: string) => void): (line: string) => void {
  return (line) => {
    if (!line.endsWith('FATAL:  the database system is starting up')) log(line);
  };
}

/** @returns false when the server ended or the time is over. */
async function answers(child: BoundChild, url: string, deadline: number): Promise<boolean> {
  while (child.isRunning() && Date.now() < deadline) {
    if (await isAnswered(url)) return true;
    await delay(POLL_MS);
  }
  return false;
}

async function isAnswered(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  // A server that goes away in the middle also says so here; without a listener that would end the process.
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('select 1');
    return true;
  } catch (cause) {
    if (!(cause instanceof DatabaseError) || cause.code !== INVALID_PASSWORD) return false;
    throw new Refusal('SETUP_FAILED', 'the database was made with another superuser password', { cause });
  } finally {
    await client.end().catch(() => undefined);
  }
}

type Address = { login: string; password: string; database: string; socketDirectory: string };

export function urlOf({ login, password, database, socketDirectory }: Address): string {
  const [user, secret, name, host] = [login, password, database, socketDirectory].map(encodeURIComponent);
  return `postgresql://${user}:${secret}@/${name}?host=${host}&port=${SOCKET_PORT}`;
}

/** PostgreSQL puts the reason first and hints after it. */
function lastLine(lines: readonly string[]): string {
  const reason =
    lines.findLast((line) => /FATAL|error:/.test(line)) ?? lines.findLast((line) => line.trim() !== '');
  return reason?.trim() ?? 'it said nothing';
}
