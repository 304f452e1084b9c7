import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { Refusal } from '../refusal.ts';
import { identityOf } from './process-identity.ts';

/**
 * One Firebreak a data directory. The lock must die with its process, also by `kill -9`, and two starters must
 * never both hold it. Node has no file locks of its own, but SQLite, which it carries, takes the kernel's: an open
 * exclusive transaction on an empty file is one. The kernel decides races and drops the lock of a dead process, so
 * there is nothing stale to judge. The file with the pid beside it only words the refusal.
 * POSIX locks end when their process closes any handle of the file, so nothing here may open `lock` for itself.
 */
type DataLock = { release(): Promise<void> };

const SQLITE_BUSY = 5;

/** A lock object that nobody keeps would be collected, and its file closed and unlocked. */
const held = new Set<DatabaseSync>();

const holder = z.strictObject({ pid: z.int().positive(), started: z.string() });

export async function lockDataDirectory(directory: string): Promise<DataLock> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const database = await takeLock(directory);
  try {
    await writeHolder(directory);
    held.add(database);
  } catch (error) {
    database.close();
    throw error;
  }
  return {
    async release() {
      // Closing ends the transaction. The files stay: to delete a locked file would let a third one in.
      if (held.delete(database)) database.close();
    },
  };
}

async function takeLock(directory: string): Promise<DatabaseSync> {
  const database = openLock(directory);
  try {
    database.exec('begin exclusive');
    return database;
  } catch (cause) {
    database.close();
    if (!isBusy(cause)) throw new Refusal('SETUP_FAILED', `cannot lock ${directory}`, { cause });
    const pid = await holderOf(directory);
    const by = pid === undefined ? 'another process' : `the process with pid ${pid}`;
    const way = 'stop that one first, or choose another directory with --data';
    throw new Refusal('DATA_IN_USE', `${directory} is in use by ${by}: ${way}`, { cause });
  }
}

function openLock(directory: string): DatabaseSync {
  try {
    return new DatabaseSync(join(directory, 'lock'), { timeout: 0 });
  } catch (cause) {
    throw new Refusal('SETUP_FAILED', `cannot write in ${directory}`, { cause });
  }
}

async function writeHolder(directory: string): Promise<void> {
  const started = (await identityOf(process.pid))?.started ?? '';
  const file = holderFile(directory);
  await writeFile(`${file}.new`, JSON.stringify({ pid: process.pid, started }), { mode: 0o600 });
  await rename(`${file}.new`, file);
}

/** @returns undefined where the file is of an earlier holder: the present one has not written its own yet. */
async function holderOf(directory: string): Promise<number | undefined> {
  try {
    const { pid, started } = holder.parse(JSON.parse(await readFile(holderFile(directory), 'utf8')));
    return (await identityOf(pid))?.started === started ? pid : undefined;
  } catch {
    return undefined;
  }
}

function holderFile(directory: string): string {
  return join(directory, 'lock.json');
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;
}
