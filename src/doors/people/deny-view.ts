import type { PlainTextElement, View } from '@slack/types';
import { z } from 'zod';
import { Refusal } from '../../refusal.ts';
import { escapeSlack } from './slack-blocks.ts';

/** The window that asks for the reason of a no: the agent gets it back and can do better next time. */
export const DENY_VIEW = 'firebreak_deny_reason';

/** The vote statement takes 500 characters; the preset and its colon need some of them. */
const WORDS_MAX = 440;

const presets: ReadonlyMap<string, string> = new Map([
  ['wrong', 'not what was asked for'],
  ['scope', 'more than is needed'],
  ['time', 'not now'],
  ['unclear', 'cannot be judged from this'],
  ['other', 'other'],
]);

/** @param carried comes back with the answer: which click this belongs to. */
export function denyView(carried: { value: string; channel: string; message: string }): View {
  return {
    type: 'modal',
    callback_id: DENY_VIEW,
    private_metadata: JSON.stringify(carried),
    title: plain('Deny'),
    submit: plain('Deny'),
    close: plain('Go back'),
    blocks: [
      {
        type: 'input',
        block_id: 'preset',
        label: plain('Why'),
        element: {
          type: 'static_select',
          action_id: 'preset',
          options: [...presets].map(([value, text]) => ({ text: plain(text), value })),
        },
      },
      {
        type: 'input',
        block_id: 'words',
        optional: true,
        label: plain('In your words; the agent reads this'),
        element: { type: 'plain_text_input', action_id: 'words', multiline: true, max_length: WORDS_MAX },
      },
    ],
  };
}

const carriedSchema = z.strictObject({ value: z.string(), channel: z.string(), message: z.string() });

export function parseCarried(text: string): z.infer<typeof carriedSchema> {
  try {
    return carriedSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new Refusal('INVALID_INPUT', 'expected the window that this door opened', { cause });
  }
}

export type DenyWords = { preset: string | null; words: string | null };

export function reasonOf({ preset, words }: DenyWords): string | undefined {
  const chosen = preset === null ? undefined : presets.get(preset);
  const own = words?.trim() ?? '';
  if (own.length > WORDS_MAX) throw new Refusal('INVALID_INPUT', `expected at most ${WORDS_MAX} characters`);
  const parts = [chosen, own].filter((part) => part !== undefined && part !== '');
  return parts.length === 0 ? undefined : parts.join(': ');
}

function plain(text: string): PlainTextElement {
  return { type: 'plain_text', text: escapeSlack(text), emoji: false };
}
