import type { Domain } from '../domains.ts';
import { Refusal } from '../refusal.ts';
import { type ChildLog, openChildLog } from './child-log.ts';
import { recordChild } from './children.ts';
import type { DataDirectory } from './data-directory.ts';
import { KeptPart, type Running } from './kept-part.ts';

/** The processes of one run by name: each has a log file, and is recorded on disk for a start after our own death. */
export type PartName = 'postgres' | 'shop' | 'temporal' | Domain;

export type PartStart = {
  name: PartName;
  start: (log: ChildLog) => Promise<Running>;
  /** What asks it to end in order: PostgreSQL's SIGTERM would wait for its clients. */
  signal: 'SIGTERM' | 'SIGINT';
  /** Which lines that are not ours a person should see. */
  worthSaying: RegExp;
};

type PartsOptions = {
  data: DataDirectory;
  say: (line: string) => void;
  /** Called after each change of what runs. */
  changed: () => void;
};

export class Parts {
  readonly #options: PartsOptions;
  readonly #parts = new Map<PartName, KeptPart>();
  readonly #logs: ChildLog[] = [];
  #closed = false;

  constructor(options: PartsOptions) {
    this.#options = options;
  }

  get all(): ReadonlyMap<PartName, KeptPart> {
    return this.#parts;
  }

  of(name: PartName): KeptPart {
    const part = this.#parts.get(name);
    if (part === undefined) throw new Refusal('UNAVAILABLE', `${name} was not started`);
    return part;
  }

  pids(): Record<string, number> {
    return Object.fromEntries(
      [...this.#parts].flatMap(([name, { pid }]) => (pid === undefined ? [] : [[name, pid]])),
    );
  }

  /** @throws when it does not start the first time; later it is tried again and again. */
  async start({ name, start, signal, worthSaying }: PartStart): Promise<void> {
    if (this.#closed) throw new Refusal('UNAVAILABLE', 'stopped while it was starting');
    const { data, say, changed } = this.#options;
    const log = openChildLog({ name, file: data.log(name), say, worthSaying });
    this.#logs.push(log);
    const launch = async () => {
      const running = await start(log);
      await recordChild(data.root, { name, pid: running.pid, signal });
      return running;
    };
    const part = new KeptPart({ name, say, changed, start: launch });
    this.#parts.set(name, part);
    await part.start();
  }

  /** From now on nothing starts; what still runs is ended by `stop`. */
  close(): void {
    this.#closed = true;
  }

  /** Ends the named ones, all at once. Safe to call twice, and for what never started. */
  async stop(names: readonly PartName[]): Promise<void> {
    const { say } = this.#options;
    await Promise.all(
      names.map(async (name) => {
        try {
          await this.#parts.get(name)?.stop();
        } catch (error) {
          // It was killed then: its data are made for that, and the others still have to be ended.
          say(`${name}: ${error instanceof Error ? error.message : String(error)}`);
        }
      }),
    );
  }

  async closeLogs(): Promise<void> {
    await Promise.all(this.#logs.map(async (log) => await log.close()));
  }
}
