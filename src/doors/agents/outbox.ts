import { z } from 'zod';
import { Bell } from '../../bell.ts';
import type { Crash } from '../../crash-point.ts';
import type { Database } from '../../database/pool.ts';
import type { Log } from '../../log.ts';
import { codeOf } from '../../refusal.ts';

/**
 * The outbox of the agents' door: every filed request gets its one workflow, whatever died between. A row stays until
 * its workflow is known to Temporal; starting twice is one start, because the request's id is the workflow's id.
 */
export type StartRow = { requestId: string; revision: number; contextEnvelope: string };

/** Who starts workflows. */
export type Starter = {
  /** Safe to call twice. Throws UNAVAILABLE when nobody is there, and anything else for what is wrong with one row. */
  start(row: StartRow): Promise<void>;
  isReachable(): Promise<boolean>;
  close(): Promise<void>;
};

export type Outbox = {
  /** Something may be there to start. */
  ring(): void;
  /** Whether workflows could be started now. */
  isReachable(): Promise<boolean>;
  close(): Promise<void>;
};

type OutboxOptions = {
  database: Database;
  /** Called until it succeeds once; afterwards the connection heals itself. */
  connect: () => Promise<Starter>;
  log: Log;
  crash?: Crash;
};

/** Rows taken at once; they are started side by side. */
const BATCH_MAX = 16;
/** After this, a row that was taken and not settled is anybody's again: longer than one start may take. */
const LEASE = '10 seconds';
/** A look without a ring: a notification may be lost, or a row may have been left by a process that died. */
const LOOK_PERIOD_MS = 1_000;
const BACKOFF_MAX_MS = 10_000;

export function startOutbox(options: OutboxOptions): Outbox {
  const loop = new OutboxLoop(options);
  const ended = loop.run();
  return {
    ring: () => loop.ring(),
    isReachable: async () => await loop.isReachable(),
    async close() {
      loop.stop();
      await ended;
    },
  };
}

const rowSchema = z.object({
  id: z.string(),
  request_id: z.string(),
  attempts: z.int(),
  revision: z.int(),
  context_envelope: z.string(),
});
type Row = z.infer<typeof rowSchema>;

class OutboxLoop {
  readonly #options: OutboxOptions;
  readonly #bell = new Bell();
  #starter: Starter | undefined;
  #stopped = false;
  #failuresInRow = 0;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  ring(): void {
    // While something is away, its absence sets the pace and not the arrival of requests.
    if (this.#failuresInRow === 0) this.#bell.ring();
  }

  stop(): void {
    this.#stopped = true;
    this.#bell.ring();
  }

  async isReachable(): Promise<boolean> {
    return (await this.#starter?.isReachable()) ?? false;
  }

  async run(): Promise<void> {
    while (!this.#stopped) {
      const worked = await this.#look();
      // A full batch says that more are waiting.
      if (worked < BATCH_MAX) await this.#bell.wait(this.#pauseMs());
    }
    await this.#starter?.close();
  }

  #pauseMs(): number {
    return Math.min(LOOK_PERIOD_MS * 2 ** this.#failuresInRow, BACKOFF_MAX_MS);
  }

  /** @returns how many rows were worked on; 0 when there is nothing to do or nobody to do it with. */
  async #look(): Promise<number> {
    try {
      this.#starter ??= await this.#options.connect();
      const starter = this.#starter;
      const rows = await this.#take();
      await Promise.all(rows.map(async (row) => await this.#start(starter, row)));
      if (this.#failuresInRow > 0) this.#options.log.info('requests are handed on again');
      this.#failuresInRow = 0;
      return rows.length;
    } catch (error) {
      this.#failuresInRow += 1;
      const message = error instanceof Error ? error.message : String(error);
      this.#options.log.warn({ err: error }, `${message}; accepted requests stay and are handed on later`);
      return 0;
    }
  }

  async #take(): Promise<Row[]> {
    return await this.#options.database.rows(
      rowSchema,
      `select o.id, o.request_id, o.attempts, r.revision, r.context_envelope
       from firebreak.take_outbox($1, $2) o join firebreak.request r on r.id = o.request_id
       where o.kind = 'start'`,
      [BATCH_MAX, LEASE],
    );
  }

  /** What is wrong with one row alone leaves that row for after its lease, and delays no other (L2). */
  async #start(starter: Starter, { id, attempts, ...row }: Row): Promise<void> {
    const requestId = row.request_id;
    this.#options.crash?.('gateway:stored');
    try {
      await starter.start({ requestId, revision: row.revision, contextEnvelope: row.context_envelope });
    } catch (error) {
      if (codeOf(error) === 'UNAVAILABLE') throw error;
      this.#options.log.error({ err: error, requestId, attempts }, 'workflow was not started');
      return;
    }
    await this.#options.database.run('select firebreak.settle_outbox($1)', [id]);
  }
}
