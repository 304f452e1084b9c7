import { mkdirSync, readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { Refusal } from '../../refusal.ts';
import { type Message, messageSchema } from './message.ts';

/** The channel's messages on disk: written aside and renamed, so that a crash leaves the old or the new state. */
const stateSchema = z.strictObject({ version: z.literal(1), messages: z.array(messageSchema) });

export type StateFile = {
  messages: Message[];
  /** Resolves when these messages, or newer ones, are in the file. */
  save(messages: readonly Message[]): Promise<void>;
};

export function openStateFile(file: string): StateFile {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  let last = Promise.resolve();
  return {
    messages: readMessages(file),
    async save(messages) {
      const text = JSON.stringify({ version: 1, messages });
      // One write after the other: two at once would share the file beside it. One that failed stops none after it.
      last = last.catch(() => undefined).then(async () => await replace(file, text));
      await last;
    },
  };
}

function readMessages(file: string): Message[] {
  try {
    return stateSchema.parse(JSON.parse(readFileSync(file, 'utf8'))).messages;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw new Refusal('CONFIG_INVALID', `expected the messages of a Slack stand-in in ${file}`, {
      cause: error,
    });
  }
}

async function replace(file: string, text: string): Promise<void> {
  const beside = `${file}.new`;
  await writeFile(beside, text, { mode: 0o600 });
  await rename(beside, file);
}
