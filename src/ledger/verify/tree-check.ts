import { openCheckpoint } from '../checkpoint.ts';
import type { CheckpointRow } from '../log-rows.ts';
import { appendLeaves, type CompactRange, emptyRange, type Hash, leafHash, rootOfRange } from '../merkle.ts';
import type { NoteVerifier } from '../note.ts';
import type { Breach } from './breach.ts';

/**
 * S9: indexes without a gap, and every kept checkpoint signed by the log's key over the root of exactly the leaves
 * that stand there. The leaves go by once; of the tree only its compact range is held.
 */
export class TreeCheck {
  #range: CompactRange = emptyRange;
  /** The size up to which a checkpoint has vouched for every leaf. */
  #proved = -1;
  #next: CheckpointRow | undefined;
  readonly #checkpoints: AsyncIterator<CheckpointRow>;
  readonly #log: NoteVerifier;
  count = 0;

  /** @param checkpoints by rising size. */
  constructor(checkpoints: AsyncIterable<CheckpointRow>, log: NoteVerifier) {
    this.#checkpoints = checkpoints[Symbol.asyncIterator]();
    this.#log = log;
  }

  get tree(): { size: number; root: Hash } {
    return { size: this.#range.size, root: rootOfRange(this.#range) };
  }

  async start(): Promise<Breach | null> {
    await this.#advance();
    return await this.#compare();
  }

  async append({ leafIndex, jws }: { leafIndex: number; jws: string }): Promise<Breach | null> {
    this.#range = appendLeaves(this.#range, [leafHash(Buffer.from(jws))]);
    if (this.#range.size !== leafIndex + 1) throw new RangeError('expected the caller to check indexes');
    return await this.#compare();
  }

  checkIndex(leafIndex: number): Breach | null {
    const expected = this.#range.size;
    return leafIndex === expected ? null : breach(expected, `expected leaf ${expected}, found ${leafIndex}`);
  }

  /** After the last leaf: no checkpoint may know of more, and none may know of less. */
  end(): Breach | null {
    const { size } = this.#range;
    if (this.#next !== undefined)
      return breach(size, `leaves end at ${size}, a checkpoint has ${this.#next.size}`);
    if (this.#proved < 0) return breach(null, 'log has no checkpoint');
    if (this.#proved < size) return breach(this.#proved, `no checkpoint covers the leaves from here on`);
    return null;
  }

  async #compare(): Promise<Breach | null> {
    while (this.#next !== undefined && this.#next.size <= this.#range.size) {
      const found = this.#judge(this.#next);
      if (found !== null) return found;
      this.#proved = this.#range.size;
      this.count += 1;
      await this.#advance();
    }
    return null;
  }

  #judge(row: CheckpointRow): Breach | null {
    const at = row.size === 0 ? null : row.size - 1;
    if (row.size <= this.#proved) return breach(at, `checkpoint of size ${row.size} stands out of order`);
    try {
      const { size, root } = openCheckpoint(row.note, this.#log);
      if (size !== row.size || Buffer.compare(root, row.root) !== 0) {
        return breach(at, `checkpoint of size ${row.size} holds a note of size ${size}`);
      }
      if (Buffer.compare(root, rootOfRange(this.#range)) === 0) return null;
    } catch (error) {
      return breach(at, `checkpoint of size ${row.size} does not hold: ${messageOf(error)}`);
    }
    const first = Math.max(this.#proved, 0);
    return breach(first, `leaves ${first} to ${row.size - 1} are not those that the checkpoint signs`);
  }

  async #advance(): Promise<void> {
    const { value, done } = await this.#checkpoints.next();
    this.#next = done === true ? undefined : value;
  }
}

function breach(leafIndex: number | null, sentence: string): Breach {
  return { invariant: 'S9', leafIndex, requestId: null, sentence };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
