import type { Database } from '../database/pool.ts';
import { Refusal } from '../refusal.ts';
import { type Checkpoint, openCheckpoint, signCheckpoint } from './checkpoint.ts';
import { commitGrowth, lockState, newestCheckpoint, type StateRow, waitingEntries } from './log-rows.ts';
import { appendLeaves, type CompactRange, leafHash, restoreRange, rootOfRange } from './merkle.ts';
import type { NoteSigner, NoteVerifier } from './note.ts';

/**
 * One turn of a sequencer: takes the lease, holds the stored tree against the newest signed checkpoint, gives the
 * waiting entries their indexes, signs the tree that they make, commits. It refuses to sign anything on top of a tree
 * that is not the signed one. What is signed in a turn that does not commit is seen by nobody: every reader gets
 * checkpoints from the database alone, so no two checkpoints of one size get out.
 */
export type Turn = { checkpoint: Checkpoint; placed: number };

export type TurnOptions = {
  database: Database;
  signer: NoteSigner;
  /** The log's key as the key manifest names it. */
  log: NoteVerifier;
  /** The newest checkpoint that this process has seen: the log never gets behind it. */
  seen: Checkpoint | undefined;
};

/** Entries placed at once; at most 65 MB of them, usually 2. */
export const BATCH_MAX = 1_000;

/**
 * A turn takes milliseconds. Whoever waits longer for the lease tries again later, and whoever stops in the middle of
 * a turn loses its connection and so the lease.
 */
const TURN_LIMITS = `set local lock_timeout = '5s'; set local idle_in_transaction_session_timeout = '10s'`;

export async function takeTurn({ database, signer, log, seen }: TurnOptions): Promise<Turn> {
  return await database.transaction(async (tx) => {
    await tx.run(TURN_LIMITS);
    const { range, checkpoint } = await openTree(tx, log);
    checkGrowth(checkpoint, seen);
    const waiting = await waitingEntries(tx, BATCH_MAX);
    if (checkpoint !== undefined && waiting.length === 0) return { checkpoint, placed: 0 };
    const leaves = waiting.map(({ jws }) => leafHash(Buffer.from(jws)));
    const grown = appendLeaves(range, leaves);
    const tree = { size: grown.size, root: rootOfRange(grown) };
    const note = signCheckpoint(tree, signer);
    // The same key that every reader trusts must open it, before it is anybody's word.
    const signed = openCheckpoint(note, log);
    const ids = waiting.map(({ id }) => id);
    await commitGrowth(tx, { oldSize: range.size, ids, range: grown, root: tree.root, note });
    return { checkpoint: signed, placed: ids.length };
  });
}

/** The tree to grow: a stored range counts only when the newest checkpoint, signed by the log's key, is its own. */
async function openTree(
  tx: Database,
  log: NoteVerifier,
): Promise<{ range: CompactRange; checkpoint: Checkpoint | undefined }> {
  const state = await lockState(tx);
  if (state === undefined) throw new Refusal('LEDGER_INVALID', 'ledger has no state');
  const range = restoreRange(state.range);
  checkStored(range, state);
  const newest = await newestCheckpoint(tx);
  if (newest === undefined) {
    if (range.size > 0) throw new Refusal('LEDGER_INVALID', 'ledger has leaves and no checkpoint');
    return { range, checkpoint: undefined };
  }
  const checkpoint = openCheckpoint(newest.note, log);
  if (newest.size !== checkpoint.size || !isTree(checkpoint, state)) {
    throw new Refusal(
      'LEDGER_INVALID',
      `stored tree of ${state.size} leaves is not the one of its newest checkpoint, of ${checkpoint.size}`,
    );
  }
  return { range, checkpoint };
}

function checkStored(range: CompactRange, state: StateRow): void {
  if (!isTree({ size: range.size, root: rootOfRange(range) }, state)) {
    throw new Refusal('LEDGER_INVALID', 'stored range does not lead to the stored root');
  }
}

type Tree = Pick<Checkpoint, 'size' | 'root'>;

function isTree(tree: Tree, other: Tree): boolean {
  return tree.size === other.size && Buffer.compare(tree.root, other.root) === 0;
}

/** A database that was set back under a running log would make it sign a second history. */
function checkGrowth(now: Checkpoint | undefined, seen: Checkpoint | undefined): void {
  if (seen === undefined) return;
  if (now === undefined || now.size < seen.size || (now.size === seen.size && !isTree(now, seen))) {
    throw new Refusal(
      'LEDGER_INVALID',
      `log of ${now?.size ?? 0} leaves is behind the one of ${seen.size} that was signed here before`,
    );
  }
}
