import { z } from 'zod';
import { type Arguments, parseArguments, readStructure } from './api-arguments.ts';
import { ApiError } from './api-error.ts';
import { type MessageBlock, messageBlocksSchema } from './blocks.ts';
import { metadataSchema } from './message.ts';
import type { StandIn } from './stand-in.ts';

/** `chat.*`: messages with Slack's limits on them. */
const TEXT_MAX = 40_000;
/** Slack documents no number for all blocks together; messages above this were refused. */
const BLOCK_TEXTS_MAX = 13_000;

const place = { channel: z.string() };
const content = {
  text: z.string().optional(),
  blocks: z.unknown().optional(),
  metadata: z.unknown().optional(),
};

export async function postMessage(standIn: StandIn, given: Arguments): Promise<object> {
  const schema = z.object({ ...place, ...content, thread_ts: z.string().optional() });
  const { channel, thread_ts, ...own } = parseArguments(schema, given);
  checkChannel(standIn, channel);
  const { text = '', blocks = [], metadata } = readContent(own);
  if (text === '' && blocks.length === 0) throw new ApiError('no_text');
  if (thread_ts !== undefined && standIn.store.find({ channel, ts: thread_ts }) === undefined) {
    throw new ApiError('cannot_reply_to_message');
  }
  const message = await standIn.store.post({ channel, text, blocks, thread_ts, metadata });
  return { channel, ts: message.ts, message };
}

/** Without blocks, a new text removes the old ones; metadata that is not named stays. */
export async function updateMessage(standIn: StandIn, given: Arguments): Promise<object> {
  const { channel, ts, ...own } = parseArguments(z.object({ ...place, ...content, ts: z.string() }), given);
  checkChannel(standIn, channel);
  const { text, blocks, metadata } = readContent(own);
  if (text === undefined && blocks === undefined) throw new ApiError('no_text');
  const message = await standIn.store.update(
    { channel, ts },
    {
      ...(text === undefined ? {} : { text, blocks: blocks ?? [] }),
      ...(blocks === undefined ? {} : { blocks }),
      ...(metadata === undefined ? {} : { metadata }),
    },
  );
  if (message === undefined) throw new ApiError('message_not_found');
  return { channel, ts, text: message.text, message };
}

export async function postEphemeral(standIn: StandIn, given: Arguments): Promise<object> {
  const { channel, user, ...own } = parseArguments(
    z.object({ ...place, ...content, user: z.string() }),
    given,
  );
  checkChannel(standIn, channel);
  if (!standIn.accounts.some((account) => account.user === user)) throw new ApiError('user_not_in_channel');
  const { text = '', blocks = [] } = readContent(own);
  if (text === '' && blocks.length === 0) throw new ApiError('no_text');
  return { message_ts: standIn.store.tell(user, { channel, text, blocks }).ts };
}

export function checkChannel({ options }: StandIn, channel: string): void {
  if (!options.channels.some(({ id }) => id === channel)) throw new ApiError('channel_not_found');
}

type Given = { text?: string | undefined; blocks?: unknown; metadata?: unknown };

function readContent({ text, blocks, metadata }: Given) {
  if (text !== undefined && text.length > TEXT_MAX) throw new ApiError('msg_too_long');
  return {
    text,
    blocks: blocks === undefined ? undefined : readBlocks(blocks),
    metadata:
      metadata === undefined
        ? undefined
        : readStructure(metadataSchema, metadata, {
            form: 'invalid_metadata_format',
            content: 'invalid_metadata_schema',
          }),
  };
}

function readBlocks(given: unknown): MessageBlock[] {
  const words = { form: 'invalid_blocks_format', content: 'invalid_blocks' };
  const blocks = readStructure(messageBlocksSchema, given, words);
  const length = blocks.reduce((total, block) => total + lengthOf(block), 0);
  if (length > BLOCK_TEXTS_MAX) throw new ApiError('msg_blocks_too_long');
  return blocks;
}

function lengthOf(block: MessageBlock): number {
  switch (block.type) {
    case 'header':
    case 'section':
      return block.text.text.length;
    case 'context':
      return block.elements.reduce((total, { text }) => total + text.length, 0);
    case 'actions':
    case 'divider':
      return 0;
  }
}
