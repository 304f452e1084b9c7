import { codeOf } from '../../refusal.ts';
import { startLoop } from './loop.ts';
import { AT_ONCE, type Notice, readDueNotices, recordNothingDone, recordTry } from './notices.ts';
import { type Showing, showNotice } from './show-notice.ts';
import { type SlackTrouble, slackTroubleOf } from './slack-client.ts';

/**
 * Makes every card in Slack show what it should. One message at a time in a channel, channels side by side; Slack's
 * absence stops nothing but the cards, and is said once in the log and in `/readyz`.
 */
export type Poster = {
  /** Something may have changed. */
  ring(): void;
  isReachable(): Promise<boolean>;
  close(): Promise<void>;
};

const BATCH_MAX = 50;
const LOOK_PERIOD_MS = 1_000;
const BACKOFF_MAX_MS = 30_000;
/** A card that Slack or we refuse delays no other; it is looked at again much later. */
const SET_ASIDE_MS = 60_000;

export function startPoster(showing: Showing): Poster {
  const channels = new Channels(showing);
  void channels.sayWhetherAway();
  const loop = startLoop({ look: async () => await channels.look(), periodMs: LOOK_PERIOD_MS });
  return {
    ring: () => loop.ring(),
    isReachable: async () => await channels.isReachable(),
    close: async () => await loop.close(),
  };
}

type Pause = { untilMs: number; failuresInRow: number };

class Channels {
  readonly #showing: Showing;
  readonly #pauses = new Map<string, Pause>();
  #isAway = false;
  #isBlind = false;

  constructor(showing: Showing) {
    this.#showing = showing;
  }

  /** Asks Slack itself: a quiet channel says nothing about it. */
  async isReachable(): Promise<boolean> {
    return await this.#showing.slack.check().then(
      () => true,
      () => false,
    );
  }

  async sayWhetherAway(): Promise<void> {
    await this.#showing.slack.check().catch((error: unknown) => this.#sayAway(error));
  }

  async look(): Promise<boolean> {
    const { door } = this.#showing;
    try {
      const due = { now: new Date(door.clock()), most: BATCH_MAX, withoutChannels: this.#paused() };
      const notices = await readDueNotices(door.database, due);
      await Promise.all([...byChannel(notices)].map(async ([name, own]) => await this.#work(name, own)));
      this.#isBlind = false;
      return notices.length === BATCH_MAX;
    } catch (error) {
      // One line for one outage, not one a second.
      if (!this.#isBlind) door.log.warn({ err: error }, 'cards cannot be looked for');
      this.#isBlind = true;
      return false;
    }
  }

  #paused(): string[] {
    const nowMs = performance.now();
    return [...this.#pauses].filter(([, { untilMs }]) => untilMs > nowMs).map(([name]) => name);
  }

  async #work(channel: string, notices: readonly Notice[]): Promise<void> {
    for (const notice of notices) {
      try {
        await showNotice(this.#showing, notice);
        this.#succeed(channel);
      } catch (error) {
        if (await this.#fail(notice, error)) return;
      }
    }
  }

  #succeed(channel: string): void {
    this.#pauses.delete(channel);
    if (this.#isAway) this.#showing.door.log.info('Slack takes cards again');
    this.#isAway = false;
  }

  /** @returns whether the whole channel waits. */
  async #fail(notice: Notice, error: unknown): Promise<boolean> {
    const { door } = this.#showing;
    // Without the database nobody knows what was posted: the try that stands in the row says to look first.
    if (codeOf(error) === 'UNAVAILABLE') throw error;
    const trouble = slackTroubleOf(error);
    if (trouble === undefined || isOfOneCard(trouble))
      return await this.#setAside(notice, { error, trouble });
    if (isUndone(notice, trouble)) await recordNothingDone(door.database, notice.id, AT_ONCE);
    this.#pause(notice.channel, trouble);
    if (trouble.kind !== 'limited') this.#sayAway(error);
    return true;
  }

  #pause(channel: string, trouble: SlackTrouble): void {
    const failuresInRow = (this.#pauses.get(channel)?.failuresInRow ?? 0) + 1;
    const backoffMs = Math.min(LOOK_PERIOD_MS * 2 ** (failuresInRow - 1), BACKOFF_MAX_MS);
    const waitMs = trouble.kind === 'limited' ? trouble.retryAfterMs : backoffMs;
    this.#pauses.set(channel, { untilMs: performance.now() + waitMs, failuresInRow });
  }

  async #setAside(
    notice: Notice,
    { error, trouble }: { error: unknown; trouble: SlackTrouble | undefined },
  ): Promise<false> {
    const { door } = this.#showing;
    const { id, request_id: requestId } = notice;
    door.log.error({ err: error, requestId }, 'card cannot be shown');
    const nextAt = new Date(door.clock() + SET_ASIDE_MS);
    if (isUndone(notice, trouble)) await recordNothingDone(door.database, id, nextAt);
    else await recordTry(door.database, id, nextAt);
    return false;
  }

  #sayAway(error: unknown): void {
    const { log } = this.#showing.door;
    if (!this.#isAway) log.warn({ err: error }, 'Slack takes no cards; they wait, and nothing else does');
    this.#isAway = true;
  }
}

/** Slack's words for what no other card in this channel would fare better with. */
const ofWholeChannel: ReadonlySet<string> = new Set([
  'account_inactive',
  'channel_not_found',
  'invalid_auth',
  'is_archived',
  'missing_scope',
  'no_permission',
  'not_authed',
  'not_in_channel',
  'restricted_action',
  'token_expired',
  'token_revoked',
]);

/** Nothing stands in Slack that nobody knows of; an earlier try whose answer was lost may have left something. */
function isUndone({ attempts }: Notice, trouble: SlackTrouble | undefined): boolean {
  return trouble?.definite === true && attempts === 0;
}

function isOfOneCard(trouble: SlackTrouble): boolean {
  return trouble.kind === 'refused' && !ofWholeChannel.has(trouble.error);
}

function byChannel(notices: readonly Notice[]): Map<string, Notice[]> {
  return Map.groupBy(notices, ({ channel }) => channel);
}
