import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
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
  click(user: string, card: SlackCard, label: 'Approve' | 'Deny'): Promise<Delivery>;
  /** Fills in the window that Deny has opened for a person, and sends it. */
  submitReason(user: string, words: string): Promise<Delivery>;
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
        const card = (await messages()).find(
          (each) => each.text.includes(requestId) && buttonsOf(each).length > 0,
        );
        if (card !== undefined) return card;
      }
      throw new Refusal('UNAVAILABLE', `no open card of ${requestId} stands in the channel`);
    },
    async click(user, card, label) {
      const button = buttonsOf(card).find(({ text }) => text.text === label);
      if (button === undefined) throw new Refusal('REQUEST_CLOSED', `card has no button ${label}`);
      return await post(own, 'click', {
        channel: own.channel,
        message: card.ts,
        action_id: button.action_id,
        user,
      });
    },
    async submitReason(user, words) {
      const response = await fetch(`${own.page}/windows?as=${user}`);
      const [window] = windowsSchema.parse(await response.json());
      if (window === undefined) throw new Refusal('REQUEST_CLOSED', `no window is open for ${user}`);
      return await post(own, 'submit', { view: window.id, user, values: { preset: 'other', words } });
    },
  };
}

const windowsSchema = z.array(z.looseObject({ id: z.string() }));

async function post(own: SlackSettings, path: string, body: object): Promise<Delivery> {
  const response = await fetch(`${own.page}/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return deliverySchema.parse(await response.json());
}

const actionsSchema = z.looseObject({
  type: z.literal('actions'),
  elements: z.array(z.looseObject({ action_id: z.string(), text: z.looseObject({ text: z.string() }) })),
});

/** What can still be clicked on a card, as it is labelled. */
export function buttonsOf({ blocks }: SlackCard) {
  return blocks.flatMap((block) => actionsSchema.safeParse(block).data?.elements ?? []);
}

async function ask(own: SlackSettings, method: string, more: Record<string, string>): Promise<SlackCard[]> {
  const response = await fetch(`${own.page}/api/${method}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${own.botToken}` },
    body: new URLSearchParams({ channel: own.channel, limit: '100', ...more }),
  });
  return historySchema.parse(await response.json()).messages;
}
