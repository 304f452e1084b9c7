/**
 * Work that must happen sooner or later: looked for when somebody rings, and every now and then without a ring,
 * because a notification may be lost and a process may have died between two steps.
 */
export type Loop = {
  ring(): void;
  /** Resolves when the look that runs now has ended. */
  close(): Promise<void>;
};

type LoopOptions = {
  /** Does what there is to do. @returns true when more is waiting. Never throws. */
  look: () => Promise<boolean>;
  periodMs: number;
};

export function startLoop(options: LoopOptions): Loop {
  const loop = new Looking(options);
  const ended = loop.run();
  return {
    ring: () => loop.ring(),
    async close() {
      loop.stop();
      await ended;
    },
  };
}

class Looking {
  readonly #options: LoopOptions;
  #stopped = false;
  #rung = false;
  #wake: () => void = () => undefined;

  constructor(options: LoopOptions) {
    this.#options = options;
  }

  ring(): void {
    this.#rung = true;
    this.#wake();
  }

  stop(): void {
    this.#stopped = true;
    this.#wake();
  }

  async run(): Promise<void> {
    while (!this.#stopped) {
      // Who rings during a look may come too late for it.
      this.#rung = false;
      if (!(await this.#options.look())) await this.#pause();
    }
  }

  async #pause(): Promise<void> {
    if (this.#rung || this.#stopped) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = setTimeout(resolve, this.#options.periodMs);
    await promise;
    clearTimeout(timer);
  }
}
