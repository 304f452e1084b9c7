import { setTimeout as delay } from 'node:timers/promises';
import { DatabaseError } from 'pg';
import { z } from 'zod';
import { Bell } from '../bell.ts';
import type { Database } from '../database/pool.ts';
import type { Log } from '../log.ts';
import { codeOf } from '../refusal.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { NoteSigner, NoteVerifier } from './note.ts';
import { BATCH_MAX, takeTurn } from './take-turn.ts';

/**
 * Integrates what the domains append into the one tree, at most 200 ms after it is durable. Several may run: they take
 * turns by a row lock. A database that is away is waited for; every other error is an end, said loudly, because a log
 * that goes on after a write it does not understand may fork.
 */
export type Sequencer = {
  /** Something was appended. */
  ring(): void;
  /** Whether the last turn reached the database. */
  isReachable(): boolean;
  close(): Promise<void>;
};

type SequencerOptions = {
  database: Database;
  signer: NoteSigner;
  /** The log's key as the key manifest names it. */
  verifier: NoteVerifier;
  log: Log;
  /** Called once, with what ended the sequencer; the process must end too. */
  fail: (error: unknown) => void;
};

/** A look without a ring: a notification may be lost, and 200 ms hold all the same. */
const LOOK_PERIOD_MS = 100;
/** One request leaves several entries within moments: they share one checkpoint and one write to the disk. */
const GATHER_MS = 50;

/** Resolves after a first turn: LEDGER_INVALID when the stored tree is not the one that was signed. */
export async function startSequencer(options: SequencerOptions): Promise<Sequencer> {
  const loop = new SequencerLoop(options);
  await loop.take();
  const ended = loop.run();
  return {
    ring: () => loop.ring(),
    isReachable: () => loop.isReachable,
    async close() {
      loop.stop();
      await ended;
    },
  };
}

class SequencerLoop {
  isReachable = true;
  readonly #options: SequencerOptions;
  readonly #bell = new Bell();
  #seen: Checkpoint | undefined;
  #stopped = false;

  constructor(options: SequencerOptions) {
    this.#options = options;
  }

  ring(): void {
    this.#bell.ring();
  }

  stop(): void {
    this.#stopped = true;
    this.#bell.ring();
  }

  async run(): Promise<void> {
    while (!this.#stopped) {
      await this.#bell.wait(LOOK_PERIOD_MS);
      if (!this.#stopped) await delay(GATHER_MS);
      if (!this.#stopped) await this.#look();
    }
  }

  /** Turns until nothing waits. */
  async take(): Promise<void> {
    const { database, signer, verifier } = this.#options;
    let placed: number;
    do {
      const turn = await takeTurn({ database, signer, log: verifier, seen: this.#seen });
      this.#seen = turn.checkpoint;
      placed = turn.placed;
    } while (placed === BATCH_MAX && !this.#stopped);
  }

  async #look(): Promise<void> {
    try {
      if (await isSomethingWaiting(this.#options.database)) await this.take();
      if (!this.isReachable) this.#options.log.info('ledger goes on');
      this.isReachable = true;
    } catch (error) {
      if (!isAway(error)) return this.#fail(error);
      if (this.isReachable) {
        this.#options.log.warn({ err: error }, 'database is away; entries wait and nothing is lost');
      }
      this.isReachable = false;
    }
  }

  #fail(error: unknown): void {
    this.#stopped = true;
    this.isReachable = false;
    this.#options.fail(error);
  }
}

const foundSchema = z.object({ found: z.boolean() });

/** Without the lease, so that an idle log writes nothing. */
async function isSomethingWaiting(database: Database): Promise<boolean> {
  const [row] = await database.rows(
    foundSchema,
    'select exists (select from firebreak.entry where leaf_index is null) as found',
  );
  return row?.found === true;
}

/** SQLSTATE: connection exceptions, operator intervention by a shutdown, and a lease that another one holds. */
const AWAY = /^(?:08...|57P0[1-3]|55P03)$/;

/** Nothing was written, or the next turn sees under the lease what was. */
function isAway(error: unknown): boolean {
  if (error instanceof DatabaseError) return AWAY.test(error.code ?? '');
  return codeOf(error) === 'UNAVAILABLE';
}
