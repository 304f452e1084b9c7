import { randomBytes } from 'node:crypto';
import { type View, withIds } from './blocks.ts';

/** Windows (modals) and the trigger ids that open them: each opens one window, once, within three seconds. */
const TRIGGER_LIFETIME_MS = 3_000;
const TRIGGERS_MAX = 1_000;
const WINDOWS_MAX = 100;

export type OpenWindow = { id: string; user: string; view: View };

type Trigger = { user: string; expiresAtMs: number; used: boolean };

export class Windows {
  readonly #clock: () => number;
  readonly #changed: () => void;
  readonly #triggers = new Map<string, Trigger>();
  readonly #open = new Map<string, OpenWindow>();

  constructor({ clock, changed }: { clock: () => number; changed: () => void }) {
    this.#clock = clock;
    this.#changed = changed;
  }

  createTrigger(user: string): string {
    const id = `${this.#clock()}.${randomBytes(4).readUInt32BE()}.${randomBytes(16).toString('hex')}`;
    this.#triggers.set(id, { user, expiresAtMs: this.#clock() + TRIGGER_LIFETIME_MS, used: false });
    dropOldest(this.#triggers, TRIGGERS_MAX);
    return id;
  }

  /** @returns the window, or Slack's word for why it does not open. */
  open(triggerId: string, view: View): OpenWindow | string {
    const trigger = this.#triggers.get(triggerId);
    if (trigger === undefined) return 'invalid_trigger_id';
    if (trigger.used) return 'exchanged_trigger_id';
    if (trigger.expiresAtMs < this.#clock()) return 'expired_trigger_id';
    trigger.used = true;
    const id = `V${randomBytes(8).toString('hex').toUpperCase()}`;
    const opened = { id, user: trigger.user, view: { ...view, blocks: withIds(view.blocks) } };
    this.#open.set(id, opened);
    dropOldest(this.#open, WINDOWS_MAX);
    this.#changed();
    return opened;
  }

  find(id: string, user: string): OpenWindow | undefined {
    const found = this.#open.get(id);
    return found?.user === user ? found : undefined;
  }

  openFor(user: string): OpenWindow[] {
    return [...this.#open.values()].filter((each) => each.user === user);
  }

  close(id: string): void {
    if (this.#open.delete(id)) this.#changed();
  }
}

function dropOldest(map: Map<string, unknown>, most: number): void {
  for (const key of map.keys()) {
    if (map.size <= most) return;
    map.delete(key);
  }
}
