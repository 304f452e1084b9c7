import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Refusal } from '../../refusal.ts';
import { type Message, messageSchema } from './message.ts';

/**
 * The channels' messages on disk: one line for each state of a message, the last one counts. A line that a crash has
 * cut off was acknowledged to nobody. Writing everything at each change would cost more with every card.
 */
export type StateFile = {
  messages: Message[];
  /** Resolves when this state of the message is in the file. */
  save(message: Message): Promise<void>;
};

/** Each start leaves one line a message, and no more messages than this. */
export function openStateFile(file: string, messagesMax: number): StateFile {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const messages = readMessages(file).slice(-messagesMax);
  replace(file, messages);
  let last = Promise.resolve();
  return {
    messages,
    async save(message) {
      // One write after the other, so that the newest state of a message is the last. One that failed stops none.
      last = last.catch(() => undefined).then(async () => await appendFile(file, lineOf(message)));
      await last;
    },
  };
}

/** In the order in which they were posted. */
function readMessages(file: string): Message[] {
  const states = new Map<string, Message>();
  for (const line of readLines(file)) {
    const message = parseLine(line, file);
    states.set(`${message.channel} ${message.ts}`, message);
  }
  return [...states.values()];
}

/** Whole lines: what stands after the last line break was never finished. */
function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n').slice(0, -1);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw notMessages(file, error);
  }
}

function parseLine(line: string, file: string): Message {
  try {
    return messageSchema.parse(JSON.parse(line));
  } catch (cause) {
    throw notMessages(file, cause);
  }
}

function notMessages(file: string, cause: unknown): Refusal {
  return new Refusal('CONFIG_INVALID', `expected the messages of a Slack stand-in in ${file}`, { cause });
}

/** Written aside and renamed: a crash leaves the old or the new file. */
function replace(file: string, messages: readonly Message[]): void {
  const beside = `${file}.new`;
  writeFileSync(beside, messages.map(lineOf).join(''), { mode: 0o600 });
  renameSync(beside, file);
}

function lineOf(message: Message): string {
  return `${JSON.stringify(message)}\n`;
}
