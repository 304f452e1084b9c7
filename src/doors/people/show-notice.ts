import { Refusal } from '../../refusal.ts';
import { stateText } from './card-state.ts';
import type { PeopleDoor } from './door.ts';
import { AT_ONCE, FINAL, type Notice, recordProgress, recordTry } from './notices.ts';
import { fitsSlack, type SlackMessage, slackMessage } from './slack-blocks.ts';
import { type SlackClient, sentenceBlock, slackTroubleOf } from './slack-client.ts';
import { readView, type View } from './view.ts';

/**
 * Brings one message to what it should show: posted once, updated in place, its outcome told in its thread once.
 * Each step is recorded before the next. A post is announced in the row first, and after a crash the message is
 * looked up by its metadata before another one is posted.
 */
export type Showing = { door: PeopleDoor; slack: SlackClient };

export async function showNotice(showing: Showing, notice: Notice): Promise<void> {
  const view = await readView(showing.door, notice);
  const settled = `${notice.wanted}${view.isFinal ? FINAL : ''}`;
  if (notice.shown === untold(notice)) return await tellOutcome(showing, notice, { ...view, settled });
  const message = await showCard(showing, notice, view);
  // Who never saw the card open need not be told twice how it ended.
  const tells = view.state.kind === 'ended' && notice.message !== null;
  await record(showing, notice, { message, shown: tells ? untold(notice) : settled });
  if (tells) await tellOutcome(showing, { ...notice, message, attempts: 0 }, { ...view, settled });
}

/** The card shows its end; the thread does not say it yet. */
function untold({ wanted }: Notice): string {
  return `${wanted} card`;
}

/** The buttons' value: looked up when it comes back, never believed. */
export function buttonValueOf({ ask_id, digest }: Pick<Notice, 'ask_id' | 'digest'>): string {
  return `${ask_id}.${digest}`;
}

async function showCard(showing: Showing, notice: Notice, view: View): Promise<string> {
  const { door, slack } = showing;
  const whole = { buttonValue: buttonValueOf(notice), fits: fitsSlack(view.card) };
  const message = slackMessage(view.card, view.state, whole);
  try {
    return await putCard(showing, notice, message);
  } catch (error) {
    if (!isRefusedFor(refusedBlocks, error)) throw error;
    door.log.error(
      { err: error, requestId: notice.request_id },
      'Slack refuses a card, and gets a smaller one',
    );
    return await putCard(
      { door, slack },
      notice,
      slackMessage(view.card, view.state, { ...whole, fits: false }),
    );
  }
}

/** Slack's words for a message that it will never take: people get the way to the whole instead. */
const refusedBlocks: ReadonlySet<string> = new Set([
  'invalid_blocks',
  'invalid_blocks_format',
  'msg_blocks_too_long',
  'msg_too_long',
]);

async function putCard(showing: Showing, notice: Notice, message: SlackMessage): Promise<string> {
  const { door, slack } = showing;
  const place = { channel: notice.channel, mark: `card ${notice.id}`, since: sinceOf(notice) };
  const known = notice.message ?? (notice.attempts > 0 ? await find(showing, place) : undefined);
  if (known !== undefined && (await update(showing, { channel: notice.channel, ts: known }, message))) {
    return known;
  }
  await recordTry(door.database, notice.id, AT_ONCE);
  return await slack.post(place, message);
}

/** @returns false when the message is gone, for instance because an administrator took it away. */
async function update({ slack }: Showing, card: { channel: string; ts: string }, message: SlackMessage) {
  try {
    await slack.update(card, message);
    return true;
  } catch (error) {
    if (isRefusedFor(goneWords, error)) return false;
    throw error;
  }
}

const goneWords: ReadonlySet<string> = new Set([
  'cant_update_message',
  'edit_window_closed',
  'message_not_found',
]);

function isRefusedFor(words: ReadonlySet<string>, error: unknown): boolean {
  const trouble = slackTroubleOf(error);
  return trouble?.kind === 'refused' && words.has(trouble.error);
}

async function tellOutcome(
  showing: Showing,
  notice: Notice,
  { state, settled }: View & { settled: string },
): Promise<void> {
  const { door, slack } = showing;
  const { channel, message } = notice;
  if (message === null) throw new Refusal('INTERNAL', 'expected a card to answer under');
  const place = {
    channel,
    thread: message,
    mark: `outcome ${notice.id} ${notice.wanted}`,
    since: sinceOf(notice),
  };
  const found = notice.attempts > 0 ? await find(showing, place) : undefined;
  if (found === undefined) {
    await recordTry(door.database, notice.id, AT_ONCE);
    const sentence = stateText(state);
    await slack.post(place, { text: 'Outcome', blocks: [sentenceBlock(sentence)] });
  }
  await record(showing, notice, { shown: settled });
}

/** Where history may not be read, a second message is the lesser harm: only the recorded one takes clicks. */
async function find({ door, slack }: Showing, place: Parameters<SlackClient['find']>[0]) {
  try {
    return await slack.find(place);
  } catch (error) {
    if (slackTroubleOf(error)?.kind !== 'refused') throw error;
    door.log.warn({ err: error }, 'channel history cannot be read, so a card may stand there twice');
    return undefined;
  }
}

/** A little before the ask, by another clock than Slack's. */
const CLOCKS_APART_MS = 5 * 60_000;

function sinceOf({ asked_at }: Notice): Date {
  return new Date(asked_at.getTime() - CLOCKS_APART_MS);
}

async function record({ door }: Showing, { id }: Notice, progress: { message?: string; shown: string }) {
  await recordProgress(door.database, id, progress);
}
