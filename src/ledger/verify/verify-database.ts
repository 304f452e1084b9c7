import { z } from 'zod';
import type { Database } from '../../database/pool.ts';
import { type CheckpointRow, checkpointRowSchema, countSchema } from '../log-rows.ts';
import { parseVerifierKey } from '../note.ts';
import type { LogEntry } from './read-entry.ts';
import { type Verdict, type VerifyOptions, verifyLog } from './verify-log.ts';

/**
 * The ledger of a database, by the ledger's own login. The log may grow meanwhile: what is verified ends at the size
 * that it had when the reading began.
 */
export type LedgerVerdict = Verdict & {
  /** Durable and not in the tree yet: no fault, the sequencer comes within moments. */
  unsequenced: number;
};

export type LedgerVerifyOptions = Omit<VerifyOptions, 'onProgress'> & {
  onProgress?: (done: number, size: number) => void;
  /** Leaves read at once. */
  pageEntries?: number;
};

/** At most 65 kB each. */
const PAGE_ENTRIES = 500;
const PAGE_CHECKPOINTS = 1_000;

export async function verifyLedger(database: Database, options: LedgerVerifyOptions): Promise<LedgerVerdict> {
  try {
    const head = await readHead(database);
    const log = {
      pages: readPages(database, { end: head.end, most: options.pageEntries ?? PAGE_ENTRIES }),
      checkpoints: readCheckpoints(database, head.end),
      head,
    };
    const onProgress = (done: number) => options.onProgress?.(done, head.end);
    const verdict = await verifyLog(log, { ...options, onProgress });
    return { ...withoutHidden(verdict, head), unsequenced: head.unsequenced };
  } catch (error) {
    // Tables whose constraints are gone may hold anything.
    if (!(error instanceof z.ZodError)) throw error;
    const sentence = `tables of the ledger hold what no log has: ${error.issues[0]?.message ?? ''}`;
    return { ...broken(options, sentence), unsequenced: 0 };
  }
}

const headSchema = z.object({
  size: countSchema,
  root: z.instanceof(Uint8Array),
  /** One past the last leaf that anything here speaks of. */
  end: countSchema,
  placed: countSchema,
  unsequenced: countSchema,
});
type Head = z.infer<typeof headSchema>;

/** One statement is one snapshot. */
async function readHead(database: Database): Promise<Head> {
  const [head] = await database.rows(
    headSchema,
    `select s.size, s.root, e.placed, e.unsequenced,
       greatest(s.size, e.last + 1, (select max(size) from firebreak.checkpoint)) as end
     from (select max(leaf_index) as last, count(leaf_index) as placed,
             count(*) filter (where leaf_index is null) as unsequenced from firebreak.entry) e
     left join firebreak.ledger_state s on true`,
  );
  return headSchema.parse(head);
}

const leafSchema = z.object({
  leaf_index: z.coerce.number().pipe(z.int()),
  jws: z.string(),
  id: z.string(),
  author: z.string(),
  kind: z.string(),
  request_id: z.string().nullable(),
  appended_by: z.string(),
});

/** Also what stands below 0, where no leaf may be. */
const BEFORE_ALL = '-9223372036854775808';

type Pages = { end: number; most: number };

async function* readPages(database: Database, { end, most }: Pages): AsyncGenerator<LogEntry[]> {
  let after: number | string = BEFORE_ALL;
  for (;;) {
    const rows: z.infer<typeof leafSchema>[] = await database.rows(
      leafSchema,
      `select leaf_index, jws, id, author, kind, request_id, appended_by from firebreak.entry
       where leaf_index > $1 and leaf_index < $2 order by leaf_index limit $3`,
      [after, end, most],
    );
    const last = rows.at(-1);
    if (last === undefined) return;
    yield rows.map(({ leaf_index, jws, request_id, appended_by, ...row }) => ({
      leafIndex: leaf_index,
      jws,
      row: { ...row, requestId: request_id, appendedBy: appended_by },
    }));
    after = last.leaf_index;
  }
}

async function* readCheckpoints(database: Database, end: number): AsyncGenerator<CheckpointRow> {
  let after = -1;
  for (;;) {
    const rows: CheckpointRow[] = await database.rows(
      checkpointRowSchema,
      `select size, root, note from firebreak.checkpoint where size > $1 and size <= $2
       order by size limit $3`,
      [after, end, PAGE_CHECKPOINTS],
    );
    const last = rows.at(-1);
    if (last === undefined) return;
    yield* rows;
    after = last.size;
  }
}

/** A second row at an index is read by whoever looks for a request, and is in no tree. */
function withoutHidden(verdict: Verdict, { placed }: Head): Verdict {
  if (verdict.kind === 'broken' || placed === verdict.size) return verdict;
  const sentence = `${placed} entries have an index, the tree has ${verdict.size} leaves`;
  return {
    kind: 'broken',
    origin: verdict.origin,
    breach: { invariant: 'S9', leafIndex: null, requestId: null, sentence },
  };
}

function broken({ keys }: LedgerVerifyOptions, sentence: string): Verdict {
  const origin = parseVerifierKey(keys.ledger).name;
  return {
    kind: 'broken',
    origin,
    breach: { invariant: 'S9', leafIndex: null, requestId: null, sentence },
  };
}
