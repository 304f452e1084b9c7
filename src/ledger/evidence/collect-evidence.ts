import { z } from 'zod';
import type { Database } from '../../database/pool.ts';
import { Refusal } from '../../refusal.ts';
import { toBase64 } from '../base64.ts';
import { countSchema, newestCheckpoint } from '../log-rows.ts';
import type { Hash } from '../merkle.ts';
import { buildProof } from '../proof.ts';
import { EVIDENCE_FORMAT, type Evidence } from './evidence.ts';

export type Collected = {
  evidence: Evidence;
  /** Entries of this request that are durable and in no checkpoint yet. */
  pending: number;
};

type CollectOptions = { requestId: string; keyManifest: string };

/** Gathers and does not judge: the caller verifies what it got before anybody relies on it. */
export async function collectEvidence(
  database: Database,
  { requestId, keyManifest }: CollectOptions,
): Promise<Collected> {
  const checkpoint = await newestCheckpoint(database);
  if (checkpoint === undefined) throw new Refusal('UNAVAILABLE', 'log has no checkpoint yet');
  const { placed, pending } = await readOwn(database, requestId, checkpoint.size);
  const leaves = [...placed, ...(await readSession(database, placed, checkpoint.size))];
  const hashes = await readLeafHashes(database, checkpoint.size);
  const inOrder = leaves.sort((one, other) => one.leafIndex - other.leafIndex);
  const evidence: Evidence = {
    format: EVIDENCE_FORMAT,
    version: 1,
    requestId,
    checkpoint: checkpoint.note,
    keyManifest,
    entries: inOrder.map(({ leafIndex, entry }) => ({
      leafIndex,
      entry,
      proof: buildProof(leafIndex, hashes, checkpoint.note).hashes.map(toBase64),
    })),
    votes: inOrder.flatMap(votesOf),
  };
  return { evidence, pending };
}

type Leaf = { leafIndex: number; entry: string };

const leafSchema = z.object({ leaf_index: countSchema, jws: z.string() });
const ownSchema = z.object({ leaf_index: countSchema.nullable(), jws: z.string() });

async function readOwn(database: Database, requestId: string, size: number) {
  const rows = await database.rows(
    ownSchema,
    'select leaf_index, jws from firebreak.entry where request_id = $1',
    [requestId],
  );
  if (rows.length === 0) throw new Refusal('UNKNOWN_REQUEST', `the ledger knows nothing of ${requestId}`);
  const placed = rows.flatMap(({ leaf_index, jws }) =>
    leaf_index === null || leaf_index >= size ? [] : [{ leafIndex: leaf_index, entry: jws }],
  );
  const pending = rows.length - placed.length;
  if (placed.length === 0) {
    throw new Refusal('UNAVAILABLE', `${pending} entries of ${requestId} are in no checkpoint yet`);
  }
  return { placed, pending };
}

const PAGE_ENTRIES = 500;
const memberSchema = z.object({ session: z.string().optional(), votes: z.array(z.string()).optional() });

/** When the session was opened and whether it was revoked: what the request's own entries do not tell. */
async function readSession(database: Database, own: readonly Leaf[], size: number): Promise<Leaf[]> {
  const session = own.map(({ entry }) => membersOf(entry).session).find((name) => name !== undefined);
  if (session === undefined) return [];
  const found: Leaf[] = [];
  let after = -1;
  for (;;) {
    const rows: z.infer<typeof leafSchema>[] = await database.rows(
      leafSchema,
      `select leaf_index, jws from firebreak.entry
       where kind in ('session-opened', 'session-revoked') and leaf_index > $1 and leaf_index < $2
       order by leaf_index limit $3`,
      [after, size, PAGE_ENTRIES],
    );
    const last = rows.at(-1);
    if (last === undefined) return found;
    for (const { leaf_index, jws } of rows) {
      if (membersOf(jws).session === session) found.push({ leafIndex: leaf_index, entry: jws });
    }
    after = last.leaf_index;
  }
}

function votesOf({ leafIndex, entry }: Leaf): Evidence['votes'] {
  const { votes = [], kind } = { kind: kindOf(entry), ...membersOf(entry) };
  return kind === 'voted' ? votes.map((statement) => ({ leafIndex, statement })) : [];
}

/** Unverified, to choose by: an entry that lies about its session is left out or found out. */
function payloadOf(jws: string): unknown {
  try {
    return JSON.parse(Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString());
  } catch {
    return {};
  }
}

function membersOf(jws: string): z.infer<typeof memberSchema> {
  return memberSchema.safeParse(payloadOf(jws)).data ?? {};
}

function kindOf(jws: string): string | undefined {
  return z.object({ kind: z.string() }).safeParse(payloadOf(jws)).data?.kind;
}

const PAGE_HASHES = 20_000;
const hashSchema = z.object({ leaf_index: countSchema, hash: z.instanceof(Uint8Array) });

/** SHA-256(0x00 || entry), computed where the entries are: of a long log only 32 bytes a leaf come over. */
async function readLeafHashes(database: Database, size: number): Promise<Hash[]> {
  const hashes: Hash[] = [];
  for (;;) {
    const rows: z.infer<typeof hashSchema>[] = await database.rows(
      hashSchema,
      `select leaf_index, sha256('\\x00'::bytea || convert_to(jws, 'UTF8')) as hash from firebreak.entry
       where leaf_index >= $1 and leaf_index < $2 order by leaf_index limit $3`,
      [hashes.length, size, PAGE_HASHES],
    );
    if (rows.length === 0) return hashes;
    for (const { leaf_index, hash } of rows) {
      if (leaf_index !== hashes.length) {
        throw new Refusal('LEDGER_INVALID', `expected leaf ${hashes.length}, found ${leaf_index}`);
      }
      hashes.push(hash);
    }
  }
}
