import { setTimeout as delay } from 'node:timers/promises';
import { Refusal } from '../refusal.ts';

/**
 * One process that is meant to run: started, watched, started again when it ends by itself. What is ended by
 * `kill` stays down until `restart`, so that a test decides when a crash is over.
 */
export type Running = { pid: number; exited: Promise<string>; stop(): Promise<void> };

type KeptPartOptions = {
  name: string;
  start: () => Promise<Running>;
  /** Called after each change of what runs. */
  changed: () => void;
  say: (line: string) => void;
};

const BACKOFF_MIN_MS = 200;
const BACKOFF_MAX_MS = 10_000;
/** Whoever ran this long was not ended by its own start. */
const HEALTHY_MS = 30_000;

const ending = new Set<NodeJS.Signals>(['SIGKILL', 'SIGTERM', 'SIGINT']);

export class KeptPart {
  readonly name: string;
  readonly #options: KeptPartOptions;
  #running: Running | undefined;
  #wanted = false;
  /** Set for good by `stop`. */
  readonly #stopping = new AbortController();
  #backoffMs = BACKOFF_MIN_MS;
  /** Starts and stops follow each other, whoever asks. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: KeptPartOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** The process that runs now. */
  get pid(): number | undefined {
    return this.#running?.pid;
  }

  /** The first start: what goes wrong is the caller's to see. */
  async start(): Promise<void> {
    this.#wanted = true;
    await this.#inTurn(async () => await this.#launch());
  }

  /** Signals the process; a signal that ends it is waited for, and it stays down. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    const running = this.#running;
    if (running === undefined) throw new Refusal('UNAVAILABLE', `${this.name} does not run`);
    if (ending.has(signal)) this.#wanted = false;
    process.kill(running.pid, signal);
    if (ending.has(signal)) await running.exited;
  }

  /** Ends it in order where it runs, starts it, and waits until it is ready. */
  async restart(): Promise<void> {
    this.#wanted = false;
    await this.#inTurn(async () => {
      await this.#running?.stop();
      this.#running = undefined;
      this.#wanted = true;
      await this.#launch();
    });
  }

  /** Ends it for good. Safe to call twice. */
  async stop(): Promise<void> {
    this.#wanted = false;
    this.#stopping.abort();
    await this.#inTurn(async () => await this.#running?.stop());
  }

  async #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    await turn;
  }

  async #launch(): Promise<void> {
    if (this.#stopping.signal.aborted || !this.#wanted || this.#running !== undefined) return;
    const running = await this.#options.start();
    const startedMs = Date.now();
    this.#running = running;
    this.#options.changed();
    void running.exited.then((how) => this.#ended(running, { how, ranMs: Date.now() - startedMs }));
  }

  #ended(running: Running, { how, ranMs }: { how: string; ranMs: number }): void {
    if (this.#running === running) this.#running = undefined;
    this.#options.changed();
    if (!this.#wanted || this.#stopping.signal.aborted) return;
    if (ranMs > HEALTHY_MS) this.#backoffMs = BACKOFF_MIN_MS;
    this.#options.say(`${this.name} (pid ${running.pid}) ended with ${how} and is started again`);
    void this.#revive();
  }

  /** Tries until it runs, is no longer wanted, or all is stopped. */
  async #revive(): Promise<void> {
    while (this.#wanted && this.#running === undefined) {
      const waitMs = this.#backoffMs;
      this.#backoffMs = Math.min(2 * waitMs, BACKOFF_MAX_MS);
      try {
        await delay(waitMs, undefined, { signal: this.#stopping.signal });
        await this.#inTurn(async () => await this.#launch());
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        const why = error instanceof Error ? error.message : String(error);
        this.#options.say(`${this.name} does not start, next try in ${this.#backoffMs} ms: ${why}`);
      }
    }
  }
}
