import { z } from 'zod';

/**
 * Block Kit as far as our cards and windows use it, with Slack's limits: what Slack would refuse is refused here, so
 * that a card which stands in this channel would stand in a real one. Lengths count the text as it is sent.
 */
export const BLOCKS_MAX = 50;
const VIEW_BLOCKS_MAX = 100;
const SECTION_TEXT_MAX = 3_000;
const HEADER_TEXT_MAX = 150;
const BUTTON_TEXT_MAX = 75;
const VALUE_MAX = 2_000;
const ID_MAX = 255;

function plainText(max: number) {
  return z.strictObject({
    type: z.literal('plain_text'),
    text: z.string().min(1).max(max),
    emoji: z.boolean().optional(),
  });
}

function anyText(max: number) {
  const mrkdwn = z.strictObject({
    type: z.literal('mrkdwn'),
    text: z.string().min(1).max(max),
    verbatim: z.boolean().optional(),
  });
  return z.discriminatedUnion('type', [plainText(max), mrkdwn]);
}

const id = z.string().min(1).max(ID_MAX);
const block = { block_id: id.optional() };

const confirm = z.strictObject({
  title: plainText(100),
  text: anyText(300),
  confirm: plainText(30),
  deny: plainText(30),
  style: z.enum(['primary', 'danger']).optional(),
});

const button = z.strictObject({
  type: z.literal('button'),
  action_id: id,
  text: plainText(BUTTON_TEXT_MAX),
  value: z.string().max(VALUE_MAX).optional(),
  style: z.enum(['primary', 'danger']).optional(),
  confirm: confirm.optional(),
});
export type Button = z.infer<typeof button>;

const header = z.strictObject({ ...block, type: z.literal('header'), text: plainText(HEADER_TEXT_MAX) });
const divider = z.strictObject({ ...block, type: z.literal('divider') });
const section = z.strictObject({ ...block, type: z.literal('section'), text: anyText(SECTION_TEXT_MAX) });
const context = z.strictObject({
  ...block,
  type: z.literal('context'),
  elements: z.array(anyText(SECTION_TEXT_MAX)).min(1).max(10),
});
const actions = z.strictObject({
  ...block,
  type: z.literal('actions'),
  elements: z.array(button).min(1).max(25),
});

const select = z.strictObject({
  type: z.literal('static_select'),
  action_id: id,
  placeholder: plainText(150).optional(),
  options: z
    .array(z.strictObject({ text: plainText(75), value: z.string().min(1).max(150) }))
    .min(1)
    .max(100),
});
const words = z.strictObject({
  type: z.literal('plain_text_input'),
  action_id: id,
  multiline: z.boolean().optional(),
  max_length: z.int().min(1).max(3_000).optional(),
});
const input = z.strictObject({
  ...block,
  type: z.literal('input'),
  label: plainText(2_000),
  optional: z.boolean().optional(),
  element: z.discriminatedUnion('type', [select, words]),
});
export type Input = z.infer<typeof input>;

const messageBlock = z.discriminatedUnion('type', [header, divider, section, context, actions]);
export type MessageBlock = z.infer<typeof messageBlock>;
export const messageBlocksSchema = z.array(messageBlock).max(BLOCKS_MAX).refine(idsDiffer, 'block_id twice');

const viewBlock = z.discriminatedUnion('type', [header, divider, section, context, input]);
export type ViewBlock = z.infer<typeof viewBlock>;

export const viewSchema = z.strictObject({
  type: z.literal('modal'),
  callback_id: z.string().max(ID_MAX).optional(),
  private_metadata: z.string().max(3_000).optional(),
  title: plainText(24),
  submit: plainText(24).optional(),
  close: plainText(24).optional(),
  blocks: z.array(viewBlock).max(VIEW_BLOCKS_MAX).refine(idsDiffer, 'block_id twice'),
});
export type View = z.infer<typeof viewSchema>;

/** Slack gives every block an id that has none, and interactions name it. */
export function withIds<B extends MessageBlock | ViewBlock>(
  blocks: readonly B[],
): (B & { block_id: string })[] {
  return blocks.map((own, at) => ({ ...own, block_id: own.block_id ?? `b${at}` }));
}

function idsDiffer(blocks: readonly { block_id?: string | undefined }[]): boolean {
  const ids = blocks.flatMap(({ block_id }) => (block_id === undefined ? [] : [block_id]));
  return new Set(ids).size === ids.length;
}
