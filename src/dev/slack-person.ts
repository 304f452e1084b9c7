import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { APPROVE, DENY } from '../doors/people/slack-blocks.ts';
import { Refusal } from '../refusal.ts';

/** A person at the Slack stand-in, for the demo and for tests: finds the card of a request and clicks its buttons. */
export type SlackPerson = {
  /** Waits until the card of a request stands in the channel with live buttons. */
  findCard(requestId: string, timeoutMs?: number): Promise<SlackCard>;
  /** Everything that stands in the channel, newest first. */
  messages(): Promise<SlackCard[]>;
  /** The answers in a card's thread. */
  thread(card: SlackCard): Promise<SlackCard[]>;
  /** Clicks as Slack would tell it; resolves with what the app answered. */
  click(user: string, card: SlackCard, button: 'approve' | 'deny'): Promise<Delivery>;
};

type SlackSettings = { page: string; botToken: string; channel: string };

const cardSchema = z.looseObject({ ts: z.string(), text: z.string(), blocks: z.array(z.json()).default([]) });
export type SlackCard = z.infer<typeof cardSchema>;
const historySchema = z.object({ ok: z.literal(true), messages: z.array(cardSchema) });
const deliverySchema = z.looseObject({ status: z.number().nullable() });
export type Delivery = z.infer<typeof deliverySchema>;

const FIND_TIMEOUT_MS = 30_000;
const POLL_MS = 50;

export function createSlackPerson(own: SlackSettings): SlackPerson {
  const messages = async () => await ask(own, 'conversations.history', {});
  return {
    messages,
    thread: async ({ ts }) =>
      (await ask(own, 'conversations.replies', { ts })).filter((each) => each.ts !== ts),
    async findCard(requestId, timeoutMs = FIND_TIMEOUT_MS) {
      for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; await delay(POLL_MS)) {
        const card = (await messages()).find((each) => each.text.includes(requestId) && hasButtons(each));
        if (card !== undefined) return card;
      }
      throw new Refusal('UNAVAILABLE', `no open card of ${requestId} stands in the channel`);
    },
    async click(user, { ts }, button) {
      const action_id = button === 'approve' ? APPROVE : DENY;
      const body = { channel: own.channel, message: ts, action_id, user };
      const response = await fetch(`${own.page}/click`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      return deliverySchema.parse(await response.json());
    },
  };
}

/** Whether people can still answer on a card. */
export function hasButtons({ blocks }: SlackCard): boolean {
  return JSON.stringify(blocks).includes(`"${DENY}"`);
}

async function ask(own: SlackSettings, method: string, more: Record<string, string>): Promise<SlackCard[]> {
  const response = await fetch(`${own.page}/api/${method}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${own.botToken}` },
    body: new URLSearchParams({ channel: own.channel, limit: '100', ...more }),
  });
  return historySchema.parse(await response.json()).messages;
}
