import { z } from 'zod';
import type { Database } from '../database/pool.ts';
import type { CompactRange, Hash } from './merkle.ts';
import { storeRange } from './merkle.ts';

/** The ledger's tables as the ledger's login sees them. Counts come as text, because they are 64 bits wide. */
export const countSchema = z.coerce.number().pipe(z.int().min(0));
const hashSchema = z.instanceof(Uint8Array);

const stateSchema = z.object({ size: countSchema, root: hashSchema, range: z.unknown() });
export type StateRow = z.infer<typeof stateSchema>;

/** The lease: held until the transaction ends, so that sequencers take turns. */
export async function lockState(tx: Database): Promise<StateRow | undefined> {
  const [state] = await tx.rows(stateSchema, 'select size, root, range from firebreak.ledger_lock()');
  return state;
}

export const checkpointRowSchema = z.object({ size: countSchema, root: hashSchema, note: z.string() });
export type CheckpointRow = { size: number; root: Hash; note: string };

export async function newestCheckpoint(database: Database): Promise<CheckpointRow | undefined> {
  const [newest] = await database.rows(
    checkpointRowSchema,
    'select size, root, note from firebreak.checkpoint order by size desc limit 1',
  );
  return newest;
}

const waitingSchema = z.object({ id: z.string(), jws: z.string() });
export type WaitingEntry = z.infer<typeof waitingSchema>;

/** In the order in which they were appended: a cause committed before its effect began stands before it. */
export async function waitingEntries(database: Database, most: number): Promise<WaitingEntry[]> {
  return await database.rows(
    waitingSchema,
    'select id, jws from firebreak.entry where leaf_index is null order by number limit $1',
    [most],
  );
}

type Growth = { oldSize: number; ids: readonly string[]; range: CompactRange; root: Hash; note: string };

export async function commitGrowth(tx: Database, { oldSize, ids, range, root, note }: Growth): Promise<void> {
  await tx.run('select firebreak.ledger_commit($1, $2, $3, $4, $5)', [
    ids,
    oldSize,
    Buffer.from(root),
    storeRange(range),
    note,
  ]);
}
