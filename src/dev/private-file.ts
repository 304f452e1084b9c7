import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Refusal } from '../refusal.ts';

/**
 * Files with secrets: mode 0600 in folders of mode 0700, whole or not there. The caller holds the data
 * directory's lock, so that nobody else makes the same file meanwhile.
 */
const SECRET_BYTES = 32;
const OTHERS = 0o077;

/** Reads the file, or makes it when it is absent. One that others may read is refused: the secret is out. */
export async function ensurePrivateFile(file: string, make: () => string | Promise<string>): Promise<string> {
  const there = await readPrivateFile(file);
  if (there !== undefined) return there;
  const text = await make();
  await writePrivateFile(file, text);
  return text;
}

/** @returns undefined where there is no such file. */
export async function readPrivateFile(file: string): Promise<string | undefined> {
  const text = await readIfThere(file);
  if (text !== undefined && ((await stat(file)).mode & OTHERS) !== 0) {
    throw new Refusal('CONFIG_INVALID', `${file} is open to others: expected mode 0600, see chmod`);
  }
  return text;
}

/** @returns undefined where there is no such file. */
export async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

export async function writePrivateFile(file: string, text: string): Promise<void> {
  await replaceFile(file, text, 0o600);
}

/** A reader sees the old text or the new one, never half of one. */
export async function replaceFile(file: string, text: string, mode: number): Promise<void> {
  const draft = `${file}.new`;
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  // A mode counts only for a file that is made.
  await rm(draft, { force: true });
  await writeFile(draft, text, { mode, flag: 'wx' });
  // The process's umask may have taken bits away that a file for everybody needs.
  await chmod(draft, mode);
  await rename(draft, file);
}

export function randomSecret(): string {
  return randomBytes(SECRET_BYTES).toString('base64url');
}
