import type { TrustedKeys } from '../../identity/manifest.ts';
import { toBase64 } from '../base64.ts';
import type { CheckpointRow } from '../log-rows.ts';
import type { Hash } from '../merkle.ts';
import { parseVerifierKey } from '../note.ts';
import type { Breach } from './breach.ts';
import { createEntryCheck, type EntryCheckOptions } from './check-entry.ts';
import { type LogEntry, readEntry } from './read-entry.ts';
import { TreeCheck } from './tree-check.ts';

/**
 * Whether a log holds, by nothing but the keys that its reader trusts: S9, the form and author of every entry, and
 * S1 to S7 and S10 as far as entries show them. It stops at the first breach and names it. Hostile content is a
 * breach and never an exception; what it throws is trouble with the source it reads from.
 *
 * A log cannot show what was never written into it, nor that somebody else was shown another one: the first is the
 * databases' functions' promise, the second is for witnesses.
 */
export type Log = {
  /** By rising index, in pages: signatures of a page are checked side by side. */
  pages: AsyncIterable<readonly LogEntry[]>;
  /** By rising size. */
  checkpoints: AsyncIterable<CheckpointRow>;
  /** What the log says of itself now, where it says it. */
  head?: { size: number; root: Hash };
};

export type VerifyOptions = EntryCheckOptions & {
  keys: TrustedKeys;
  nowS: number;
  /** Called after each page. */
  onProgress?: (done: number) => void;
};

export type Verdict =
  | { kind: 'holds'; origin: string; size: number; root: string; checkpoints: number }
  | { kind: 'broken'; origin: string; breach: Breach };

export async function verifyLog(log: Log, options: VerifyOptions): Promise<Verdict> {
  const verifier = parseVerifierKey(options.keys.ledger);
  const tree = new TreeCheck(log.checkpoints, verifier);
  const breach = (await checkLeaves(log, tree, options)) ?? tree.end() ?? checkHead(log, tree);
  const origin = verifier.name;
  if (breach !== null) return { kind: 'broken', origin, breach };
  const { size, root } = tree.tree;
  return { kind: 'holds', origin, size, root: toBase64(root), checkpoints: tree.count };
}

async function checkLeaves(log: Log, tree: TreeCheck, options: VerifyOptions): Promise<Breach | null> {
  const checkEntry = createEntryCheck(options);
  const first = await tree.start();
  if (first !== null) return first;
  for await (const page of log.pages) {
    const read = await Promise.all(page.map(async (entry) => await readEntry(entry, options)));
    for (const [at, entry] of page.entries()) {
      const judged = read[at];
      const breach =
        tree.checkIndex(entry.leafIndex) ??
        (judged?.kind === 'read' ? checkEntry(judged) : (judged?.breach ?? null)) ??
        (await tree.append(entry));
      if (breach !== null) return breach;
    }
    options.onProgress?.(tree.tree.size);
  }
  return null;
}

function checkHead({ head }: Log, { tree }: TreeCheck): Breach | null {
  if (head === undefined) return null;
  if (head.size === tree.size && Buffer.compare(head.root, tree.root) === 0) return null;
  const sentence = `log says that it has ${head.size} leaves, its checkpoint has ${tree.size}`;
  return { invariant: 'S9', leafIndex: null, requestId: null, sentence };
}
