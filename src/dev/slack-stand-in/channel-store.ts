import type { MessageBlock } from './blocks.ts';
import { withIds } from './blocks.ts';
import { type Ephemeral, type Message, microsOf, tsOf } from './message.ts';
import type { StateFile } from './state-file.ts';
import { app } from './workspace.ts';

/** The messages of all channels, oldest first. What is answered with success is in the state file. */
export const MESSAGES_MAX = 2_000;
const EPHEMERALS_MAX = 100;

type Draft = {
  channel: string;
  text: string;
  blocks: readonly MessageBlock[];
  thread_ts?: string | undefined;
  metadata?: Message['metadata'];
};

type StoreOptions = { file: StateFile; team: string; clock: () => number; changed: () => void };

export class ChannelStore {
  readonly #options: StoreOptions;
  #messages: Message[];
  #ephemerals: Ephemeral[] = [];
  #lastMicros: number;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#messages = [...options.file.messages];
    this.#lastMicros = Math.max(0, ...this.#messages.map(({ ts }) => microsOf(ts)));
  }

  async post(draft: Draft): Promise<Message> {
    const message = this.#messageOf(draft);
    this.#messages = [...this.#messages, message].slice(-MESSAGES_MAX);
    await this.#saved(message);
    return message;
  }

  /** @returns undefined where there is no such message. */
  async update(place: { channel: string; ts: string }, change: Partial<Draft>): Promise<Message | undefined> {
    const old = this.find(place);
    if (old === undefined) return undefined;
    const { text = old.text, metadata = old.metadata } = change;
    const blocks = change.blocks === undefined ? old.blocks : withIds(change.blocks);
    const message: Message = { ...old, text, blocks, ...(metadata === undefined ? {} : { metadata }) };
    this.#messages = this.#messages.map((each) => (each === old ? message : each));
    await this.#saved(message);
    return message;
  }

  tell(to: string, draft: Draft): Message {
    const message = this.#messageOf(draft);
    this.#ephemerals = [...this.#ephemerals, { message, to }].slice(-EPHEMERALS_MAX);
    this.#options.changed();
    return message;
  }

  find({ channel, ts }: { channel: string; ts: string }): Message | undefined {
    return this.#messages.find((message) => message.channel === channel && message.ts === ts);
  }

  /** Top-level messages of a channel. */
  inChannel(channel: string): Message[] {
    return this.#messages.filter((message) => message.channel === channel && message.thread_ts === undefined);
  }

  /** The answers in a thread, without its first message. */
  inThread(channel: string, thread: string): Message[] {
    return this.#messages.filter((message) => message.channel === channel && message.thread_ts === thread);
  }

  toldTo(user: string, channel: string): Message[] {
    return this.#ephemerals
      .filter(({ to, message }) => to === user && message.channel === channel)
      .map(({ message }) => message);
  }

  #messageOf({ channel, text, blocks, thread_ts, metadata }: Draft): Message {
    return {
      type: 'message',
      channel,
      ts: this.#nextTs(),
      ...(thread_ts === undefined ? {} : { thread_ts }),
      user: app.user,
      bot_id: app.bot,
      app_id: app.id,
      team: this.#options.team,
      text,
      blocks: withIds(blocks),
      ...(metadata === undefined ? {} : { metadata }),
    };
  }

  /** A message's identity within its channel, so never the same twice. */
  #nextTs(): string {
    this.#lastMicros = Math.max(this.#options.clock() * 1_000, this.#lastMicros + 1);
    return tsOf(this.#lastMicros);
  }

  async #saved(message: Message): Promise<void> {
    await this.#options.file.save(message);
    this.#options.changed();
  }
}
