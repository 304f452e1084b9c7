import { z } from 'zod';
import { sha256Base64url } from '../../canonical.ts';
import { loginOf } from '../../domains.ts';
import type { Claims, EntryBody } from '../../identity/claims.ts';
import type { TrustedKeys } from '../../identity/manifest.ts';
import { verify } from '../../identity/verify.ts';
import { Refusal } from '../../refusal.ts';
import { mayAuthor } from '../entry-kinds.ts';
import type { Breach } from './breach.ts';
import { type Telling, tellingOf } from './telling.ts';

/** One leaf as it was found. */
export type LogEntry = {
  leafIndex: number;
  /** The leaf's data. */
  jws: string;
  /** What the database says of it beside; absent where a log is read without its database. */
  row?: { id: string; author: string; kind: string; requestId: string | null; appendedBy: string };
};

/** A vote as its statement says, once its signature holds. */
export type VoteStatement = { id: string; claims: Claims<'vote'> };

export type EntryRead = {
  kind: 'read';
  leafIndex: number;
  body: EntryBody;
  telling: Telling | undefined;
  /** The vote that a `voted` entry records. */
  vote: VoteStatement | undefined;
};

export type EntryTrust = { keys: TrustedKeys; nowS: number };

/** Never throws: what is wrong with hostile bytes is a breach with its reason. */
export async function readEntry(
  entry: LogEntry,
  trust: EntryTrust,
): Promise<EntryRead | { kind: 'breach'; breach: Breach }> {
  const { leafIndex } = entry;
  const broken = (invariant: 'entry' | 'S1', sentence: string, requestId: string | null = null) => ({
    kind: 'breach' as const,
    breach: { invariant, leafIndex, requestId, sentence },
  });
  let body: EntryBody;
  let telling: Telling | undefined;
  try {
    // RFC 8785 text, schema, author's own key: the one verifier of every signed object.
    body = await verify('entry', entry.jws, trust);
    checkAuthor(body);
    checkRow(body, entry.row);
    telling = tellingOf(body);
  } catch (error) {
    return broken('entry', `entry does not hold: ${reasonOf(error)}`, entry.row?.requestId ?? null);
  }
  try {
    const vote = telling?.kind === 'voted' ? await readVote(telling.votes, trust) : undefined;
    return { kind: 'read', leafIndex, body, telling, vote };
  } catch (error) {
    return broken('S1', `vote statement does not hold: ${reasonOf(error)}`, body.requestId ?? null);
  }
}

/** Statements are compared by this and never parsed twice: the verifier takes one spelling only. */
export function statementId(statement: string): string {
  return sha256Base64url(statement);
}

async function readVote([statement = '']: string[], trust: EntryTrust): Promise<VoteStatement> {
  return { id: statementId(statement), claims: await verify('vote', statement, trust) };
}

function checkAuthor({ iss, kind }: EntryBody): void {
  if (!mayAuthor(iss, kind)) throw new Refusal('LEDGER_INVALID', `${iss} may not author ${kind}`);
}

/** Whoever reads the database by these columns must find what was signed. */
function checkRow(body: EntryBody, row: LogEntry['row']): void {
  if (row === undefined) return;
  const same =
    row.id === body.id &&
    row.author === body.iss &&
    row.kind === body.kind &&
    row.requestId === (body.requestId ?? null) &&
    row.appendedBy === loginOf(body.iss);
  if (!same) throw new Refusal('LEDGER_INVALID', 'row says something else than the signed entry in it');
}

function reasonOf(error: unknown): string {
  if (error instanceof z.ZodError) {
    return error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
  }
  return error instanceof Error ? error.message : String(error);
}
