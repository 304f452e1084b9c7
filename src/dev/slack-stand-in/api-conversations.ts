import { z } from 'zod';
import { type Arguments, flag, parseArguments } from './api-arguments.ts';
import { checkChannel } from './api-chat.ts';
import { ApiError } from './api-error.ts';
import { type Message, microsOf } from './message.ts';
import type { StandIn } from './stand-in.ts';

/** `conversations.history` and `.replies`: pages by cursor, newest first and oldest first as in Slack. */
const PAGE_DEFAULT = 100;
const PAGE_MAX = 999;

const pagingSchema = z.object({
  channel: z.string(),
  oldest: z.string().default('0'),
  latest: z.string().optional(),
  inclusive: flag,
  limit: z.coerce.number().int().min(1).max(PAGE_MAX).default(PAGE_DEFAULT),
  cursor: z.string().default(''),
  include_all_metadata: flag,
});
type Paging = z.infer<typeof pagingSchema>;

export async function history(standIn: StandIn, given: Arguments): Promise<object> {
  const paging = parseArguments(pagingSchema, given);
  checkChannel(standIn, paging.channel);
  const messages = standIn.store.inChannel(paging.channel).filter((message) => isWithin(message, paging));
  return pageOf(messages.toReversed(), paging);
}

export async function replies(standIn: StandIn, given: Arguments): Promise<object> {
  const { ts, ...paging } = parseArguments(pagingSchema.extend({ ts: z.string() }), given);
  checkChannel(standIn, paging.channel);
  const first = standIn.store.find({ channel: paging.channel, ts });
  if (first === undefined) throw new ApiError('thread_not_found');
  const answers = standIn.store.inThread(paging.channel, ts).filter((message) => isWithin(message, paging));
  return pageOf([first, ...answers], paging);
}

function isWithin({ ts }: Message, { oldest, latest, inclusive }: Paging): boolean {
  const [at, from] = [microsOf(ts), microsOf(oldest)];
  const to = latest === undefined ? Number.POSITIVE_INFINITY : microsOf(latest);
  return inclusive ? at >= from && at <= to : at > from && at < to;
}

const CURSOR = /^next_ts:(\d+\.\d+)$/;

function pageOf(messages: readonly Message[], { cursor, limit, include_all_metadata }: Paging): object {
  const start = cursor === '' ? 0 : messages.findIndex(({ ts }) => ts === readCursor(cursor));
  if (start < 0) throw new ApiError('invalid_cursor');
  const page = messages.slice(start, start + limit);
  const next = messages[start + limit];
  return {
    messages: page.map((message) => shown(message, include_all_metadata)),
    has_more: next !== undefined,
    ...(next === undefined ? {} : { response_metadata: { next_cursor: btoa(`next_ts:${next.ts}`) } }),
  };
}

function readCursor(cursor: string): string {
  const ts = CURSOR.exec(Buffer.from(cursor, 'base64').toString('utf8'))?.[1];
  if (ts === undefined) throw new ApiError('invalid_cursor');
  return ts;
}

function shown({ metadata, ...message }: Message, withMetadata: boolean): object {
  return withMetadata && metadata !== undefined ? { ...message, metadata } : message;
}
