import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Refusal } from '../refusal.ts';
import { parseBase64, toBase64 } from './base64.ts';
import { createNoteSigner, formatVerifierKey, type NoteSigner } from './note.ts';

/**
 * The ledger's own signing key, as the text that Go's note tools read too (golang.org/x/mod/sumdb/note):
 *
 *     PRIVATE+KEY+example.com/foo+530d903a+AekyeRrm56h…
 *
 * It lies in `note.key` of the ledger's key folder and nowhere else. Its name is the log's origin.
 */
export type NoteKey = { signer: NoteSigner; verifierKey: string };

export const NOTE_KEY_FILE = 'note.key';

const SIGNER_KEY =
  /^PRIVATE\+KEY\+(?<name>[^\p{White_Space}+]+)\+(?<keyId>[0-9a-f]{8})\+(?<key>[A-Za-z0-9+/=]+)\n?$/u;
/** Signature type identifier byte of Ed25519 over the note text. */
const TYPE_ED25519 = 0x01;
const SEED_BYTES = 32;
/** What stands before the seed in the PKCS #8 form of an Ed25519 key (RFC 8410 7). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** Makes the key when it is missing. @returns its verifier key, for the key manifest. Safe to call again. */
export async function ensureNoteKey(directory: string, name: string): Promise<string> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const file = join(directory, NOTE_KEY_FILE);
  if ((await readKeyFile(file)) === undefined) await createKeyFile(file, name);
  const { signer, verifierKey } = await loadNoteKey(file);
  if (signer.name !== name) {
    throw new Refusal('CONFIG_INVALID', `expected ${file} to be a key of ${name}, got one of ${signer.name}`);
  }
  return verifierKey;
}

/** Refuses to start without it: a ledger that cannot sign is none. */
export async function loadNoteKey(file: string): Promise<NoteKey> {
  const text = await readKeyFile(file);
  if (text === undefined) throw new Refusal('CONFIG_INVALID', `expected the note key in ${file}, found none`);
  return parseSignerKey(text, file);
}

function parseSignerKey(text: string, file: string): NoteKey {
  const { name, keyId, key } = SIGNER_KEY.exec(text)?.groups ?? {};
  const typed = key === undefined ? new Uint8Array() : parseBase64(key, 'a private key');
  if (name === undefined || typed[0] !== TYPE_ED25519 || typed.length !== 1 + SEED_BYTES) {
    throw new Refusal('CONFIG_INVALID', `expected an Ed25519 signer key in ${file}`);
  }
  const der = Buffer.concat([PKCS8_PREFIX, typed.subarray(1)]);
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const signer = createNoteSigner(name, privateKey);
  if (signer.keyId !== keyId) throw new Refusal('CONFIG_INVALID', `key id in ${file} is not of this key`);
  return { signer, verifierKey: formatVerifierKey(name, createPublicKey(privateKey)) };
}

async function createKeyFile(file: string, name: string): Promise<void> {
  const { privateKey } = generateKeyPairSync('ed25519');
  const { keyId } = createNoteSigner(name, privateKey);
  const typed = Buffer.concat([Uint8Array.of(TYPE_ED25519), seedOf(privateKey)]);
  try {
    // `wx`: never write over a key that somebody else made meanwhile.
    await writeFile(file, `PRIVATE+KEY+${name}+${keyId}+${toBase64(typed)}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if (codeOfSystem(error) !== 'EEXIST') throw error;
  }
}

function seedOf(privateKey: KeyObject): Uint8Array {
  return privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(PKCS8_PREFIX.length);
}

async function readKeyFile(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (codeOfSystem(error) === 'ENOENT') return undefined;
    throw new Refusal('CONFIG_INVALID', `cannot read ${file}`, { cause: error });
  }
}

function codeOfSystem(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
