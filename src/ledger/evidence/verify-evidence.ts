import { toBase64 } from '../base64.ts';
import { type Checkpoint, openCheckpoint } from '../checkpoint.ts';
import { leafHash, parseHash } from '../merkle.ts';
import { parseVerifierKey } from '../note.ts';
import { checkInclusion } from '../tree-proof.ts';
import type { Breach, Invariant } from '../verify/breach.ts';
import { createEntryCheck, type EntryCheckOptions } from '../verify/check-entry.ts';
import { type EntryRead, type EntryTrust, readEntry } from '../verify/read-entry.ts';
import { type Evidence, evidenceSchema } from './evidence.ts';

/**
 * Whether a file proves the story that it tells, by the keys that its reader trusts and none that it brings along:
 * each entry stands in the log that the checkpoint signs, and the rules of the whole log have nothing against them.
 */
export type EvidenceVerdict =
  | { kind: 'holds'; origin: string; size: number; root: string; entries: EntryRead[] }
  | { kind: 'broken'; breach: Breach };

export type EvidenceTrust = EntryTrust & EntryCheckOptions;

/** Never throws on hostile content. */
export async function verifyEvidence(file: unknown, trust: EvidenceTrust): Promise<EvidenceVerdict> {
  const parsed = evidenceSchema.safeParse(file);
  if (!parsed.success) {
    const fault = parsed.error.issues[0];
    return broken('entry', `no evidence file: ${fault?.path.join('.') ?? ''} ${fault?.message ?? ''}`);
  }
  const evidence = parsed.data;
  const { requestId } = evidence;
  let checkpoint: Checkpoint;
  try {
    checkpoint = openCheckpoint(evidence.checkpoint, parseVerifierKey(trust.keys.ledger));
  } catch (error) {
    return broken('S9', `checkpoint does not hold: ${messageOf(error)}`, { requestId });
  }
  const read = await readAll(evidence, { checkpoint, trust });
  if (!Array.isArray(read)) return read;
  const { origin, size, root } = checkpoint;
  return (
    checkStory(evidence, read) ??
    checkVotes(evidence, read) ?? { kind: 'holds', origin, size, root: toBase64(root), entries: read }
  );
}

type Judging = { checkpoint: Checkpoint; trust: EvidenceTrust };
type Broken = Extract<EvidenceVerdict, { kind: 'broken' }>;

async function readAll(evidence: Evidence, judging: Judging): Promise<EntryRead[] | Broken> {
  const { requestId } = evidence;
  const checkEntry = createEntryCheck(judging.trust);
  const read: EntryRead[] = [];
  for (const part of evidence.entries) {
    const { leafIndex, entry: jws } = part;
    const at = { leafIndex, requestId };
    if (leafIndex <= (read.at(-1)?.leafIndex ?? -1)) return broken('S9', 'entries are out of order', at);
    const fault = refuseProof(part, judging.checkpoint);
    if (fault !== null) return broken('S9', fault, at);
    const entry = await readEntry({ leafIndex, jws }, judging.trust);
    if (entry.kind === 'breach') return { kind: 'broken', breach: entry.breach };
    const breach = checkEntry(entry);
    if (breach !== null) return { kind: 'broken', breach };
    read.push(entry);
  }
  return read;
}

function refuseProof({ leafIndex, entry, proof }: Evidence['entries'][number], checkpoint: Checkpoint) {
  try {
    checkInclusion({
      index: leafIndex,
      size: checkpoint.size,
      root: checkpoint.root,
      leaf: leafHash(Buffer.from(entry)),
      proof: proof.map(parseHash),
    });
    return null;
  } catch (error) {
    return `entry is not in the log: ${messageOf(error)}`;
  }
}

/** Nothing but this request, from its filing on, and its session: a true entry of another story is a lie in this one. */
function checkStory({ requestId }: Evidence, read: readonly EntryRead[]): Broken | null {
  const filed = read.find(({ telling }) => telling?.kind === 'requested');
  if (filed?.body.requestId !== requestId) return broken('S4', 'nobody requested this', { requestId });
  const strange = read.find(({ body }) =>
    body.requestId === undefined ? body.session !== filed.body.session : body.requestId !== requestId,
  );
  if (strange === undefined) return null;
  return broken('entry', 'entry is of another request', { leafIndex: strange.leafIndex, requestId });
}

/** A vote beside the entries that no entry records would be read and never have been checked. */
function checkVotes(evidence: Evidence, read: readonly EntryRead[]): Broken | null {
  const recorded = read.flatMap(({ leafIndex, telling }) =>
    telling?.kind === 'voted' ? telling.votes.map((statement) => `${leafIndex} ${statement}`) : [],
  );
  const named = evidence.votes.map(({ leafIndex, statement }) => `${leafIndex} ${statement}`);
  const same = recorded.length === named.length && recorded.every((vote, at) => vote === named[at]);
  return same ? null : broken('S1', 'votes are not those of the entries', { requestId: evidence.requestId });
}

type Where = { leafIndex?: number; requestId?: string };

function broken(invariant: Invariant, sentence: string, { leafIndex, requestId }: Where = {}): Broken {
  const breach = { invariant, leafIndex: leafIndex ?? null, requestId: requestId ?? null, sentence };
  return { kind: 'broken', breach };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
