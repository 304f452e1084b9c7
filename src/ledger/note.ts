import { createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto';
import { Refusal } from '../refusal.ts';
import { parseBase64, toBase64 } from './base64.ts';

/**
 * Signed notes (c2sp.org/signed-note@v1.0.0), e.g.
 *
 *     This is an example message.
 *
 *     — example.com/foo Uw2QOkn8srV1…
 *
 * It promises that a text which comes out of `verifyNote` was signed by a key that the caller named. It refuses a note
 * that no such key signed, and one on which such a key's signature fails, even when another one holds.
 */
export type Note = { text: string; signatures: NoteSignature[] };
export type NoteSignature = { name: string; keyId: string; signature: Uint8Array };

/** One key by which notes are checked. What its signature covers is its own business: cosignatures add a time. */
export type NoteVerifier = {
  readonly name: string;
  /** Eight hexadecimal digits. */
  readonly keyId: string;
  readonly verify: (text: string, signature: Uint8Array) => boolean;
};

export type NoteSigner = {
  readonly name: string;
  readonly keyId: string;
  readonly sign: (text: string) => Uint8Array;
};

export const NOTE_BYTES_MAX = 256 * 1_024;
/** The specification asks for 16 at least. */
export const SIGNATURES_MAX = 64;

const KEY_ID_BYTES = 4;
const PUBLIC_KEY_BYTES = 32;
/** Signature type identifier byte of Ed25519 over the note text. */
const TYPE_ED25519 = 0x01;

const KEY_NAME = /^[^\p{White_Space}+]+$/u;
const SIGNATURE_LINE = /^\u2014 (?<name>[^\p{White_Space}+]+) (?<signature>[A-Za-z0-9+/=]+)$/u;
const VERIFIER_KEY = /^(?<name>[^\p{White_Space}+]+)\+(?<keyId>[0-9a-f]{8})\+(?<key>[A-Za-z0-9+/=]+)$/u;
/** Those below U+0020, the newline apart; the control characters from U+007F on are allowed. */
const CONTROL_CHARACTER = /[^\P{Cc}\n\u007f-\u009f]/u;

/** The text's note with the signatures of all signers. Ed25519 is deterministic: a second call gives the same bytes. */
export function signNote(text: string, signers: readonly NoteSigner[]): string {
  const signatures = signers.map(({ name, keyId, sign }) => ({ name, keyId, signature: sign(text) }));
  const note = `${text}\n${signatures.map(signatureLine).join('')}`;
  // A reader must find the very text that was signed: an open last line would let signatures pass for text.
  if (parseNote(note).text !== text)
    throw new Refusal('LEDGER_INVALID', 'expected a text that ends with a newline');
  return note;
}

/** The note's text once every signature by a known key holds and at least one is there. Unknown keys are ignored. */
export function verifyNote(
  note: string | Uint8Array,
  verifiers: readonly NoteVerifier[],
): { text: string; verifiedBy: NoteVerifier[] } {
  const { text, signatures } = parseNote(note);
  const known = indexVerifiers(verifiers);
  const verifiedBy = new Set<NoteVerifier>();
  for (const { name, keyId, signature } of signatures) {
    const verifier = known.get(identity({ name, keyId }));
    if (verifier === undefined) continue;
    if (!verifier.verify(text, signature)) {
      throw new Refusal('LEDGER_INVALID', `signature of the known key ${name}+${keyId} does not hold`);
    }
    verifiedBy.add(verifier);
  }
  if (verifiedBy.size === 0) throw new Refusal('LEDGER_INVALID', 'expected a note signed by a known key');
  return { text, verifiedBy: [...verifiedBy] };
}

/** Form alone: nothing of the result may be believed before `verifyNote`. */
export function parseNote(note: string | Uint8Array): Note {
  const whole = decodeText(note);
  // The text may hold empty lines; the last one in the note is the border.
  const border = whole.lastIndexOf('\n\n');
  if (border === -1) throw new Refusal('LEDGER_INVALID', 'expected an empty line before the signatures');
  const lines = whole.slice(border + 2).split('\n');
  if (lines.pop() !== '') throw new Refusal('LEDGER_INVALID', 'expected a note that ends with a newline');
  if (lines.length === 0 || lines.length > SIGNATURES_MAX) {
    throw new Refusal('LEDGER_INVALID', `expected 1 to ${SIGNATURES_MAX} signatures, got ${lines.length}`);
  }
  return { text: whole.slice(0, border + 1), signatures: lines.map(parseSignatureLine) };
}

/** The verifier key as it is handed out: name, key id, type and public key in one line. */
export function formatVerifierKey(name: string, key: KeyObject): string {
  const typed = typedPublicKey(key);
  return `${name}+${keyIdOf(name, typed)}+${toBase64(typed)}`;
}

/** Reads `formatVerifierKey`; a key id that is not of this name and key is refused. */
export function parseVerifierKey(text: string): NoteVerifier {
  const { name, keyId, key } = VERIFIER_KEY.exec(text)?.groups ?? {};
  if (name === undefined || keyId === undefined || key === undefined) {
    throw new Refusal('LEDGER_INVALID', 'expected a verifier key: name, key id and key, joined by +');
  }
  const typed = parseBase64(key, 'a public key');
  if (typed[0] !== TYPE_ED25519 || typed.length !== 1 + PUBLIC_KEY_BYTES) {
    throw new Refusal('LEDGER_INVALID', 'expected an Ed25519 verifier key of type 0x01');
  }
  if (keyIdOf(name, typed) !== keyId) {
    throw new Refusal('LEDGER_INVALID', `expected key id ${keyIdOf(name, typed)}, got ${keyId}`);
  }
  const publicKey = importPublicKey(typed.subarray(1));
  return {
    name,
    keyId,
    verify: (text, signature) => verify(null, Buffer.from(text), publicKey, signature),
  };
}

/** Signs as `name` with an Ed25519 private key, which stays inside. */
export function createNoteSigner(name: string, key: KeyObject): NoteSigner {
  const keyId = keyIdOf(name, typedPublicKey(createPublicKey(key)));
  return { name, keyId, sign: (text) => sign(null, Buffer.from(text), key) };
}

function parseSignatureLine(line: string): NoteSignature {
  const { name, signature } = SIGNATURE_LINE.exec(line)?.groups ?? {};
  if (name === undefined || signature === undefined) {
    throw new Refusal('LEDGER_INVALID', 'expected a signature line: em dash, key name, base64');
  }
  const bytes = parseBase64(signature, 'a signature');
  if (bytes.length <= KEY_ID_BYTES) {
    throw new Refusal('LEDGER_INVALID', 'expected a key id and a signature, got too few bytes');
  }
  const keyId = toHex(bytes.subarray(0, KEY_ID_BYTES));
  return { name, keyId, signature: bytes.subarray(KEY_ID_BYTES) };
}

function signatureLine({ name, keyId, signature }: NoteSignature): string {
  return `\u2014 ${name} ${toBase64(Buffer.concat([Buffer.from(keyId, 'hex'), signature]))}\n`;
}

function decodeText(note: string | Uint8Array): string {
  const bytes = typeof note === 'string' ? Buffer.from(note) : note;
  if (bytes.length > NOTE_BYTES_MAX) {
    throw new Refusal('LEDGER_INVALID', `expected a note of at most ${NOTE_BYTES_MAX} bytes`);
  }
  const text = typeof note === 'string' ? note : decodeUtf8(note);
  // A lone surrogate has no UTF-8 form: the bytes that are signed would not be the text that is read.
  if (!text.isWellFormed() || CONTROL_CHARACTER.test(text)) {
    throw new Refusal('LEDGER_INVALID', 'expected UTF-8 text without control characters');
  }
  return text;
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new Refusal('LEDGER_INVALID', 'expected UTF-8 text', { cause });
  }
}

/** Two known keys of one identity could not be told apart by a signature line. */
function indexVerifiers(verifiers: readonly NoteVerifier[]): Map<string, NoteVerifier> {
  const known = new Map(verifiers.map((verifier) => [identity(verifier), verifier]));
  if (known.size !== verifiers.length) {
    throw new Refusal('LEDGER_INVALID', 'expected known keys that differ in name or key id');
  }
  return known;
}

function identity({ name, keyId }: { name: string; keyId: string }): string {
  return `${name}+${keyId}`;
}

/** SHA-256(name || 0x0A || type || public key)[:4]. */
function keyIdOf(name: string, typed: Uint8Array): string {
  if (!KEY_NAME.test(name)) {
    throw new Refusal('LEDGER_INVALID', `expected a key name without spaces and +, got ${name}`);
  }
  const digest = hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), typed]), 'buffer');
  return toHex(digest.subarray(0, KEY_ID_BYTES));
}

function typedPublicKey(key: KeyObject): Uint8Array {
  const { crv, x } = key.asymmetricKeyType === 'ed25519' ? key.export({ format: 'jwk' }) : {};
  if (crv !== 'Ed25519' || x === undefined) throw new Refusal('LEDGER_INVALID', 'expected an Ed25519 key');
  return Buffer.concat([Uint8Array.of(TYPE_ED25519), Buffer.from(x, 'base64url')]);
}

function importPublicKey(raw: Uint8Array): KeyObject {
  const x = Buffer.from(raw).toString('base64url');
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
