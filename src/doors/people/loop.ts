import { Bell } from '../../bell.ts';

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
  readonly #bell = new Bell();
  #stopped = false;

  constructor(options: LoopOptions) {
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
      if (!(await this.#options.look()) && !this.#stopped) await this.#bell.wait(this.#options.periodMs);
    }
  }
}
