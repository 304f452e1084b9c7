import { Refusal } from '../refusal.ts';
import { parseBase64, toBase64 } from './base64.ts';
import { type Checkpoint, openCheckpoint, parseCheckpoint, parseDecimal } from './checkpoint.ts';
import { type Hash, leafHash, parseHash, TREE_LEVELS_MAX } from './merkle.ts';
import { NOTE_BYTES_MAX, type NoteVerifier, parseNote } from './note.ts';
import { checkInclusion, inclusionProof } from './tree-proof.ts';

/**
 * A file by which one entry can be checked offline (c2sp.org/tlog-proof@v1, extension `.tlog-proof`):
 *
 *     c2sp.org/tlog-proof@v1
 *     index 73894
 *     gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
 *
 *     example.com/fancylog
 *     109482
 *     …
 *
 * It promises that a proof which verifies shows exactly this entry at exactly this index below a root that the log
 * signed. It refuses a file in any other spelling. Nothing vouches for `extra`.
 */
export type Proof = {
  index: number;
  hashes: readonly Hash[];
  /** The signed note, as the log issued it. */
  checkpoint: string;
  /** Opaque and not authenticated: a hint for the reader at most. */
  extra?: Uint8Array;
};

export const EXTRA_BYTES_MAX = 128 * 1_024;
export const PROOF_CHARACTERS_MAX = NOTE_BYTES_MAX + 2 * EXTRA_BYTES_MAX;

const FIRST_LINE = 'c2sp.org/tlog-proof@v1';
const EXTRA = 'extra ';
const INDEX = 'index ';

/** The proof of one entry below a checkpoint; the leaves may already be more than the checkpoint's. */
export function buildProof(index: number, leafHashes: readonly Hash[], checkpoint: string): Proof {
  const { size, root } = parseCheckpoint(parseNote(checkpoint).text);
  const leaf = leafHashes[index];
  if (leaf === undefined || leafHashes.length < size) {
    throw new Refusal('LEDGER_INVALID', `expected the leaves of size ${size} and of index ${index}`);
  }
  const hashes = inclusionProof(index, leafHashes.slice(0, size));
  // A tree that no longer fits its own checkpoint is found here, not by the reader of a proof that fails.
  checkInclusion({ index, size, leaf, root, proof: hashes });
  return { index, hashes, checkpoint };
}

/** The index and checkpoint that this file proves for this entry under the log's key. */
export function verifyProof(
  file: string,
  entry: Uint8Array,
  log: NoteVerifier,
): { index: number; checkpoint: Checkpoint } {
  const { index, hashes, checkpoint: note } = parseProof(file);
  const checkpoint = openCheckpoint(note, log);
  const { size, root } = checkpoint;
  checkInclusion({ index, size, leaf: leafHash(entry), root, proof: hashes });
  return { index, checkpoint };
}

export function formatProof({ index, hashes, checkpoint, extra }: Proof): string {
  const extraLines = extra === undefined ? [] : [`${EXTRA}${toBase64(extra)}`];
  const lines = [FIRST_LINE, ...extraLines, `${INDEX}${index}`, ...hashes.map(toBase64)];
  const file = `${lines.join('\n')}\n\n${checkpoint}`;
  parseProof(file);
  return file;
}

/** Form alone: nothing of the result may be believed before `verifyProof`. */
export function parseProof(file: string): Proof {
  if (file.length > PROOF_CHARACTERS_MAX) {
    throw new Refusal('LEDGER_INVALID', `expected a proof of at most ${PROOF_CHARACTERS_MAX} characters`);
  }
  // No line of the proof is empty, so the first empty line is the border, whatever the checkpoint holds.
  const border = file.indexOf('\n\n');
  if (border === -1) throw new Refusal('LEDGER_INVALID', 'expected an empty line before the checkpoint');
  const checkpoint = file.slice(border + 2);
  parseCheckpoint(parseNote(checkpoint).text);
  return { ...parseLines(file.slice(0, border).split('\n')), checkpoint };
}

function parseLines(lines: string[]): Omit<Proof, 'checkpoint'> {
  if (lines.shift() !== FIRST_LINE) {
    throw new Refusal('LEDGER_INVALID', `expected ${FIRST_LINE} on the first line`);
  }
  const extra = lines[0]?.startsWith(EXTRA) === true ? parseExtra(lines.shift()) : {};
  const [indexLine = '', ...hashLines] = lines;
  if (!indexLine.startsWith(INDEX)) throw new Refusal('LEDGER_INVALID', 'expected the line with the index');
  const index = parseDecimal(indexLine.slice(INDEX.length), 'index');
  if (hashLines.length > TREE_LEVELS_MAX) {
    throw new Refusal(
      'LEDGER_INVALID',
      `expected at most ${TREE_LEVELS_MAX} hashes, got ${hashLines.length}`,
    );
  }
  return { index, hashes: hashLines.map(parseHash), ...extra };
}

function parseExtra(line = ''): { extra: Uint8Array } {
  const extra = parseBase64(line.slice(EXTRA.length), 'extra data');
  if (extra.length > EXTRA_BYTES_MAX) {
    throw new Refusal('LEDGER_INVALID', `expected extra data of at most ${EXTRA_BYTES_MAX} bytes`);
  }
  return { extra };
}
