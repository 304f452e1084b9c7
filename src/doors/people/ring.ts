import { z } from 'zod';
import type { Database } from '../../database/pool.ts';
import type { Log } from '../../log.ts';
import { codeOf } from '../../refusal.ts';
import { startLoop } from './loop.ts';

/**
 * The outbox of the people's door: after every vote the request's workflow is told to look. The signal carries
 * nothing, because it is no authority; a row stays until Temporal has taken it or the workflow has ended.
 */
export type LookRow = { requestId: string; contextEnvelope: string };

export type Ringer = {
  /** Safe to call twice: a workflow looks once more. Resolves also where no workflow is left to look. */
  look(row: LookRow): Promise<void>;
  isReachable(): Promise<boolean>;
  close(): Promise<void>;
};

export type Ring = { ring(): void; isReachable(): Promise<boolean>; close(): Promise<void> };

type RingOptions = {
  database: Database;
  /** Called until it succeeds once; afterwards the connection heals itself. */
  connect: () => Promise<Ringer>;
  log: Log;
};

const BATCH_MAX = 16;
/** After this, a row that was taken and not settled is anybody's again: longer than one signal may take. */
const LEASE = '10 seconds';
const LOOK_PERIOD_MS = 1_000;

const rowSchema = z.object({ id: z.string(), request_id: z.string(), context_envelope: z.string() });
type Row = z.infer<typeof rowSchema>;

export function startRing(options: RingOptions): Ring {
  const bells = new Bells(options);
  const loop = startLoop({ look: async () => await bells.look(), periodMs: LOOK_PERIOD_MS });
  return {
    ring: () => loop.ring(),
    isReachable: async () => await bells.isReachable(),
    async close() {
      await loop.close();
      await bells.close();
    },
  };
}

class Bells {
  readonly #options: RingOptions;
  #ringer: Ringer | undefined;
  #failed = false;

  constructor(options: RingOptions) {
    this.#options = options;
  }

  async isReachable(): Promise<boolean> {
    return (await this.#ringer?.isReachable()) ?? false;
  }

  async close(): Promise<void> {
    await this.#ringer?.close();
  }

  async look(): Promise<boolean> {
    try {
      this.#ringer ??= await this.#options.connect();
      const ringer = this.#ringer;
      const rows = await this.#take();
      await Promise.all(rows.map(async (row) => await this.#ring(ringer, row)));
      if (this.#failed) this.#options.log.info('workflows are told of votes again');
      this.#failed = false;
      return rows.length === BATCH_MAX;
    } catch (error) {
      // One line for one outage, not one a second.
      if (!this.#failed) this.#options.log.warn({ err: error }, 'workflows hear of votes later');
      this.#failed = true;
      return false;
    }
  }

  async #take(): Promise<Row[]> {
    return await this.#options.database.rows(
      rowSchema,
      `select o.id, o.request_id, r.context_envelope
       from firebreak.take_outbox($1, $2) o join firebreak.request r on r.id = o.request_id
       where o.kind = 'look'`,
      [BATCH_MAX, LEASE],
    );
  }

  /** What is wrong with one row alone leaves that row for after its lease, and delays no other (L2). */
  async #ring(ringer: Ringer, row: Row): Promise<void> {
    try {
      await ringer.look({ requestId: row.request_id, contextEnvelope: row.context_envelope });
    } catch (error) {
      if (codeOf(error) === 'UNAVAILABLE') throw error;
      this.#options.log.error({ err: error, requestId: row.request_id }, 'workflow was not told of a vote');
      return;
    }
    await this.#options.database.run('select firebreak.settle_outbox($1)', [row.id]);
  }
}
