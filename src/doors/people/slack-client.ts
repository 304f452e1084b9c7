import { LogLevel, webApi } from '@slack/bolt';
import type { KnownBlock, View } from '@slack/types';
import { z } from 'zod';
import type { Log } from '../../log.ts';
import { escapeSlack, type SlackMessage } from './slack-blocks.ts';

/** The few things that this door does at Slack. Each call is tried once; who calls decides on trying again. */
export type SlackClient = {
  /** @returns the message's `ts`. A failure that is not definite may have posted. */
  post(place: Place, message: SlackMessage): Promise<string>;
  /** Safe to repeat. */
  update(card: { channel: string; ts: string }, message: SlackMessage): Promise<void>;
  /** The `ts` of a message that we posted and whose answer was lost. */
  find(place: Place): Promise<string | undefined>;
  /** Shows a sentence to one person alone. */
  tell(person: { channel: string; user: string }, sentence: string): Promise<void>;
  openView(triggerId: string, view: View): Promise<void>;
  /** Throws when Slack is away or does not know us. */
  check(): Promise<void>;
};

/** Where a message stands, and by which mark it is found again. */
export type Place = { channel: string; thread?: string; mark: string; since: Date };

/** Why Slack did not do it: `definite` says that it certainly did not. */
export type SlackTrouble =
  | { kind: 'limited'; definite: true; retryAfterMs: number }
  | { kind: 'refused'; definite: true; error: string }
  | { kind: 'away'; definite: false };

/** Longer than Slack needs on a bad day. */
const CALL_TIMEOUT_MS = 10_000;
const RETRY_AFTER_MAX_MS = 10 * 60_000;
const PAGE = 100;
const PAGES_MAX = 10;
const CARD_EVENT = 'firebreak_notice';

export function createSlackClient(options: {
  token: string;
  apiUrl: string | undefined;
  log: Log;
}): SlackClient {
  const client = new webApi.WebClient(options.token, {
    ...(options.apiUrl === undefined ? {} : { slackApiUrl: options.apiUrl }),
    logger: slackLogger(options.log),
    retryConfig: { retries: 0 },
    rejectRateLimitedCalls: true,
    timeout: CALL_TIMEOUT_MS,
  });
  return {
    async post({ channel, thread, mark }, message) {
      const { postMessage } = client.chat;
      const posted = await postMessage({
        channel,
        ...(thread === undefined ? {} : { thread_ts: thread }),
        ...message,
        // The fallback text is the one text that Slack would read as mrkdwn.
        mrkdwn: false,
        unfurl_links: false,
        unfurl_media: false,
        metadata: { event_type: CARD_EVENT, event_payload: { mark } },
      });
      return tsOf(posted);
    },
    async update({ channel, ts }, message) {
      await client.chat.update({ channel, ts, ...message });
    },
    find: async (place) => await findMarked(client, place),
    async tell({ channel, user }, sentence) {
      await client.chat.postEphemeral({
        channel,
        user,
        text: 'Firebreak',
        blocks: [sentenceBlock(sentence)],
      });
    },
    async openView(triggerId, view) {
      await client.views.open({ trigger_id: triggerId, view });
    },
    async check() {
      await client.auth.test();
    },
  };
}

/** What a failed call was; undefined for what Slack has no part in. */
export function slackTroubleOf(error: unknown): SlackTrouble | undefined {
  if (error instanceof webApi.WebAPIRateLimitedError) {
    return {
      kind: 'limited',
      definite: true,
      retryAfterMs: Math.min(error.retryAfter * 1_000, RETRY_AFTER_MAX_MS),
    };
  }
  if (error instanceof webApi.WebAPIPlatformError && !temporary.has(error.data.error)) {
    return { kind: 'refused', definite: true, error: error.data.error };
  }
  // A lost answer, a 5xx, a timeout: the message may stand there.
  return error instanceof webApi.SlackError ? { kind: 'away', definite: false } : undefined;
}

/** Slack's words for trouble of its own. */
const temporary: ReadonlySet<string> = new Set([
  'fatal_error',
  'internal_error',
  'request_timeout',
  'service_unavailable',
]);

export function sentenceBlock(sentence: string): KnownBlock {
  return { type: 'section', text: { type: 'plain_text', text: escapeSlack(sentence), emoji: false } };
}

function tsOf(posted: { ts?: string }): string {
  if (posted.ts !== undefined) return posted.ts;
  throw new webApi.WebAPIRequestError(new TypeError('expected the ts of the posted message'));
}

const pageSchema = z.object({
  messages: z.array(
    z.object({
      ts: z.string(),
      metadata: z
        .object({ event_type: z.string(), event_payload: z.object({ mark: z.string() }).partial() })
        .partial()
        .optional(),
    }),
  ),
  response_metadata: z.object({ next_cursor: z.string() }).partial().optional(),
});

/** Metadata is ours alone to set for our app, and survives edits of the text. */
async function findMarked(client: webApi.WebClient, place: Place): Promise<string | undefined> {
  let cursor: string | undefined;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const { messages, response_metadata } = pageSchema.parse(await readPage(client, place, cursor));
    const found = messages.find(
      ({ metadata }) => metadata?.event_type === CARD_EVENT && metadata.event_payload?.mark === place.mark,
    );
    if (found !== undefined) return found.ts;
    cursor = response_metadata?.next_cursor;
    if (cursor === undefined || cursor === '') return undefined;
  }
  return undefined;
}

async function readPage(
  client: webApi.WebClient,
  { channel, thread, since }: Place,
  cursor: string | undefined,
) {
  const asked = {
    channel,
    oldest: String(Math.floor(since.getTime() / 1_000)),
    limit: PAGE,
    include_all_metadata: true,
    ...(cursor === undefined ? {} : { cursor }),
  };
  return thread === undefined
    ? await client.conversations.history(asked)
    : await client.conversations.replies({ ...asked, ts: thread });
}

/** Slack's libraries speak through our log, and never above a warning: what fails is reported where it matters. */
export function slackLogger(log: Log) {
  const own = log.child({ part: 'slack' });
  return {
    debug: () => undefined,
    info: (...parts: unknown[]) => own.debug(parts.map(String).join(' ')),
    warn: (...parts: unknown[]) => own.info(parts.map(String).join(' ')),
    error: (...parts: unknown[]) => own.warn(parts.map(String).join(' ')),
    setLevel: () => undefined,
    getLevel: () => LogLevel.INFO,
    setName: () => undefined,
  };
}
