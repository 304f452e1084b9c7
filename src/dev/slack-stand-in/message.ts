import { z } from 'zod';
import { messageBlocksSchema } from './blocks.ts';

/** A message as it is stored, in Slack's own spelling; `metadata` is left out where nobody asks for it. */
export const metadataSchema = z.strictObject({
  event_type: z.string().min(1).max(255),
  event_payload: z.record(z.string(), z.json()),
});

export const messageSchema = z.strictObject({
  type: z.literal('message'),
  channel: z.string(),
  ts: z.string(),
  thread_ts: z.string().optional(),
  user: z.string(),
  bot_id: z.string(),
  app_id: z.string(),
  team: z.string(),
  text: z.string(),
  blocks: messageBlocksSchema,
  metadata: metadataSchema.optional(),
});
export type Message = z.infer<typeof messageSchema>;

/** For one person alone; Slack keeps them for nobody. */
export type Ephemeral = { message: Message; to: string };

/** A message's `ts` in microseconds: the number that Slack's paging and order stand on. */
export function microsOf(ts: string): number {
  const [seconds = '0', fraction = ''] = ts.split('.');
  return Number(seconds) * 1_000_000 + Number(fraction.padEnd(6, '0').slice(0, 6));
}

export function tsOf(micros: number): string {
  return `${Math.floor(micros / 1_000_000)}.${String(micros % 1_000_000).padStart(6, '0')}`;
}
