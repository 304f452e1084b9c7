import { Refusal } from '../refusal.ts';
import { toBase64 } from './base64.ts';
import { emptyRoot, type Hash, parseHash } from './merkle.ts';
import { type NoteSigner, type NoteVerifier, signNote, verifyNote } from './note.ts';

/**
 * What a log says of itself at one size (c2sp.org/tlog-checkpoint@v1.0.0), the text of a signed note:
 *
 *     example.com/behind-the-sofa
 *     20852163
 *     CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
 *
 * It refuses extension lines: no monitor can audit them, and this log writes none. That a log signs only checkpoints
 * which continue the ones before is the sequencer's promise, not made here.
 */
export type Checkpoint = { origin: string; size: number; root: Hash };

const DECIMAL = /^(?:0|[1-9][0-9]{0,15})$/;

/** The signed note of a checkpoint. The key's name is the origin, so that its verifier key names the log. */
export function signCheckpoint(tree: { size: number; root: Hash }, signer: NoteSigner): string {
  return signNote(formatCheckpoint({ origin: signer.name, ...tree }), [signer]);
}

/** A checkpoint that this log's key signed, of this log and no other; LEDGER_INVALID says what does not hold. */
export function openCheckpoint(note: string | Uint8Array, log: NoteVerifier): Checkpoint {
  const checkpoint = parseCheckpoint(verifyNote(note, [log]).text);
  if (checkpoint.origin !== log.name) {
    throw new Refusal(
      'LEDGER_INVALID',
      `expected a checkpoint of ${log.name}, got one of ${checkpoint.origin}`,
    );
  }
  return checkpoint;
}

export function formatCheckpoint({ origin, size, root }: Checkpoint): string {
  const text = `${origin}\n${size}\n${toBase64(root)}\n`;
  parseCheckpoint(text); // What a reader would refuse must never be signed.
  return text;
}

/** Form alone, of a note's text. */
export function parseCheckpoint(text: string): Checkpoint {
  const [origin, size, root, end, ...more] = text.split('\n');
  if (!origin || size === undefined || root === undefined || end !== '' || more.length > 0) {
    throw new Refusal('LEDGER_INVALID', 'expected a checkpoint of three lines: origin, size, root');
  }
  const checkpoint = { origin, size: parseDecimal(size, 'tree size'), root: parseHash(root) };
  checkEmptyTree(checkpoint);
  return checkpoint;
}

/** ASCII decimal without leading zeros, within what a number holds exactly. */
export function parseDecimal(text: string, what: string): number {
  const value = DECIMAL.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) {
    throw new Refusal('LEDGER_INVALID', `expected a decimal number below 2^53 as ${what}`);
  }
  return value;
}

function checkEmptyTree({ size, root }: Checkpoint): void {
  if (size === 0 && Buffer.compare(root, emptyRoot()) !== 0) {
    throw new Refusal('LEDGER_INVALID', 'expected the root of the empty tree at size 0');
  }
}
