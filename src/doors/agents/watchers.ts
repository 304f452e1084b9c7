import { Bell } from '../../bell.ts';
import { Refusal } from '../../refusal.ts';

/** Long polls open at once on one door; each is a socket and a timer. */
const WATCHERS_MAX = 2_000;

/** Who waits for which request: one database listener rings for all of them. */
export class Watchers {
  readonly #bells = new Map<string, Set<Bell>>();
  #count = 0;
  #closed = false;

  /** Runs `work` with a bell that rings whenever the request may have changed. */
  async watch<T>(requestId: string, work: (bell: Bell, isOpen: () => boolean) => Promise<T>): Promise<T> {
    if (this.#count >= WATCHERS_MAX) throw new Refusal('RATE_LIMITED', 'too many callers wait at this door');
    const bell = this.#add(requestId);
    try {
      return await work(bell, () => !this.#closed);
    } finally {
      this.#remove(requestId, bell);
    }
  }

  /** @param requestId empty when any request may have changed unheard. */
  ring(requestId: string): void {
    const sets = requestId === '' ? this.#bells.values() : [this.#bells.get(requestId) ?? []];
    for (const bells of sets) for (const bell of bells) bell.ring();
  }

  /** Lets everybody go, so that a door that closes does not wait for its callers. */
  close(): void {
    this.#closed = true;
    this.ring('');
  }

  #add(requestId: string): Bell {
    const bell = new Bell();
    const bells = this.#bells.get(requestId) ?? new Set();
    this.#bells.set(requestId, bells.add(bell));
    this.#count += 1;
    return bell;
  }

  #remove(requestId: string, bell: Bell): void {
    const bells = this.#bells.get(requestId);
    bells?.delete(bell);
    if (bells?.size === 0) this.#bells.delete(requestId);
    this.#count -= 1;
  }
}
