import { z } from 'zod';

/**
 * A switch for tests: the next calls of a Web API method meet trouble. `limited` answers 429 with Retry-After,
 * `refused` an error of Slack's, `down` a 503; `lost` does what was asked and then breaks the connection, so that
 * nobody hears of it.
 */
export const faultSchema = z.strictObject({
  /** A method, or `*` for every one. */
  method: z.string().min(1),
  kind: z.enum(['limited', 'refused', 'down', 'lost']),
  times: z.int().min(1).max(10_000).default(1),
  /** Slack's word, where it refuses. */
  error: z.string().min(1).default('fatal_error'),
  retryAfterS: z.int().min(1).max(600).default(1),
});
export type Fault = z.infer<typeof faultSchema>;

export const controlSchema = z.strictObject({ faults: z.array(faultSchema).max(20) });

export class Faults {
  #waiting: Fault[] = [];

  /** Replaces what was set before; an empty list heals. */
  set(faults: readonly Fault[]): void {
    this.#waiting = [...faults];
  }

  all(): readonly Fault[] {
    return this.#waiting;
  }

  /** The trouble that this call meets, used up by it. */
  take(method: string): Fault | undefined {
    const met = this.#waiting.find((fault) => fault.method === method || fault.method === '*');
    this.#waiting = this.#waiting.flatMap((fault) => {
      if (fault !== met) return [fault];
      return fault.times === 1 ? [] : [{ ...fault, times: fault.times - 1 }];
    });
    return met;
  }
}
