import { readFile } from 'node:fs/promises';
import { Refusal } from '../refusal.ts';

const KEY_BYTES = 32;

/** Reads a key of 32 bytes, base64url text in a file of mode 0600. */
export async function readSymmetricKey(file: string): Promise<Uint8Array> {
  const key = new Uint8Array(Buffer.from(await readText(file), 'base64url'));
  if (key.length !== KEY_BYTES) {
    throw new Refusal('CONFIG_INVALID', `expected ${KEY_BYTES} bytes as base64url in ${file}`);
  }
  return key;
}

async function readText(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (cause) {
    throw new Refusal('CONFIG_INVALID', `expected a key in ${file}`, { cause });
  }
}
