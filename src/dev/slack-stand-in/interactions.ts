import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { Refusal } from '../../refusal.ts';
import type { Button, Input } from './blocks.ts';
import { type Delivery, deliver } from './deliver.ts';
import { type Message, tsOf } from './message.ts';
import type { StandIn } from './stand-in.ts';
import type { OpenWindow } from './windows.ts';
import { type Account, app } from './workspace.ts';

/**
 * What people do, as Slack tells it to the app. Only what stands there can be clicked: a button of a message, a field
 * of a window that is open for this person.
 */
export const clickSchema = z.strictObject({
  channel: z.string(),
  /** The message's `ts`. */
  message: z.string(),
  action_id: z.string(),
  /** The Slack account that clicks, e.g. `U1`. */
  user: z.string(),
  /** Tells several buttons with one `action_id` apart. */
  value: z.string().optional(),
});

export const submitSchema = z.strictObject({
  /** The open window's id. */
  view: z.string(),
  user: z.string(),
  /** By `action_id`: the chosen option's value, or the words. */
  values: z.record(z.string(), z.string()).default({}),
});

export async function click(standIn: StandIn, given: z.infer<typeof clickSchema>): Promise<Delivery> {
  const account = accountOf(standIn, given.user);
  const message = standIn.store.find({ channel: given.channel, ts: given.message });
  if (message === undefined) throw new Refusal('INVALID_INPUT', 'expected a message of this channel');
  const { button, block_id } = findButton(message, given);
  return await send(standIn, {
    type: 'block_actions',
    ...whoAndWhere(standIn, account),
    container: containerOf(message),
    channel: { id: message.channel, name: channelName(standIn, message.channel) },
    message: withoutMetadata(message),
    state: { values: {} },
    response_url: `https://stand-in.invalid/actions/${randomBytes(8).toString('hex')}`,
    actions: [{ ...button, block_id, action_ts: tsOf(standIn.clock() * 1_000) }],
  });
}

/** A window closes when the app has taken what was said in it. */
export async function submit(standIn: StandIn, given: z.infer<typeof submitSchema>): Promise<Delivery> {
  const account = accountOf(standIn, given.user);
  const opened = standIn.windows.find(given.view, given.user);
  if (opened === undefined)
    throw new Refusal('INVALID_INPUT', 'expected a window that is open for this person');
  const view = { ...viewOf(standIn, opened), state: { values: stateOf(opened, given.values) } };
  const delivery = await send(standIn, {
    type: 'view_submission',
    ...whoAndWhere(standIn, account),
    view,
    response_urls: [],
  });
  if (delivery.ok) standIn.windows.close(opened.id);
  return delivery;
}

async function send(standIn: StandIn, payload: object): Promise<Delivery> {
  return await deliver(payload, { ...standIn.options, clock: standIn.clock });
}

function whoAndWhere({ options, windows }: StandIn, { user, team, username }: Account) {
  return {
    user: { id: user, username, name: username, team_id: team },
    team: { id: options.team, domain: 'stand-in' },
    enterprise: null,
    is_enterprise_install: false,
    api_app_id: app.id,
    // Slack's old verification token: still sent, worth nothing.
    token: 'deprecated',
    trigger_id: windows.createTrigger(user),
  };
}

function accountOf({ accounts }: StandIn, user: string): Account {
  const account = accounts.find((each) => each.user === user);
  if (account === undefined) throw new Refusal('INVALID_INPUT', 'expected a person of the stand-in');
  return account;
}

function findButton({ blocks }: Message, wanted: { action_id: string; value?: string | undefined }) {
  const all = blocks.flatMap((block) =>
    block.type === 'actions'
      ? block.elements.map((button: Button) => ({ button, block_id: block.block_id }))
      : [],
  );
  const found = all.find(
    ({ button }) =>
      button.action_id === wanted.action_id && (wanted.value === undefined || button.value === wanted.value),
  );
  if (found === undefined) throw new Refusal('INVALID_INPUT', 'expected a button of this message');
  return found;
}

function containerOf({ ts, channel, thread_ts }: Message) {
  const thread = thread_ts === undefined ? {} : { thread_ts };
  return { type: 'message', message_ts: ts, channel_id: channel, is_ephemeral: false, ...thread };
}

function withoutMetadata({ metadata: _ours, ...message }: Message) {
  return message;
}

function channelName({ options }: StandIn, id: string): string {
  return options.channels.find((channel) => channel.id === id)?.name ?? id;
}

function viewOf({ options }: StandIn, { id, view }: OpenWindow) {
  return { ...view, id, team_id: options.team, app_id: app.id, bot_id: app.bot, hash: '1.stand-in' };
}

function stateOf({ view }: OpenWindow, values: Readonly<Record<string, string>>) {
  const inputs = view.blocks.filter((block) => block.type === 'input');
  return Object.fromEntries(
    inputs.map((input) => {
      const { action_id } = input.element;
      return [input.block_id ?? '', { [action_id]: fieldOf(input, values[action_id] ?? '') }];
    }),
  );
}

/** Slack's own client lets nobody send a window that is not filled in. */
function fieldOf({ element, optional }: Input, said: string) {
  if (said === '' && optional !== true) throw new Refusal('INVALID_INPUT', `expected ${element.action_id}`);
  if (element.type === 'plain_text_input') {
    if (said.length > (element.max_length ?? 3_000))
      throw new Refusal('INVALID_INPUT', 'expected fewer words');
    return { type: element.type, value: said === '' ? null : said };
  }
  const option = element.options.find(({ value }) => value === said) ?? null;
  if (option === null && said !== '') throw new Refusal('INVALID_INPUT', 'expected one of the options');
  return { type: element.type, selected_option: option };
}
