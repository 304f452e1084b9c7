import type {
  ActionsBlock,
  ContextBlock,
  HeaderBlock,
  KnownBlock,
  PlainTextElement,
  SectionBlock,
} from '@slack/types';
import type { FactLine } from '../../action/define.ts';
import type { Card, CardSection } from './card.ts';
import { type CardState, stateText, takesVotes } from './card-state.ts';

/**
 * A card as Slack's Block Kit. Every text is `plain_text`: there is no mrkdwn anywhere, so nothing from a request can
 * become a link, a mention or a format. Nothing is cut: where a card does not fit Slack's limits, there is no Approve
 * button, only the way to the whole.
 */
export const APPROVE = 'firebreak_approve';
export const DENY = 'firebreak_deny';

/** Slack's limits, characters or counts. */
const SECTION_MAX = 3_000;
const BLOCKS_MAX = 50;
const CONFIRM_TEXT_MAX = 300;
/** Slack answers `msg_blocks_too_long` somewhere above 13,000 characters and documents no number; room for the rest. */
const TEXTS_MAX = 9_000;
/** The agent's words may not crowd out what they are about. */
const WORDS_MAX = 2_000;

export type SlackMessage = { text: string; blocks: KnownBlock[] };

/** Whether all of a card can stand in one message: only then may it be approved there. */
export function fitsSlack(card: Card): boolean {
  const blocks = wholeBlocks(card);
  return (
    blocks.length + BLOCKS_AROUND <= BLOCKS_MAX &&
    blocks.every((block) => lengthOf(block) <= SECTION_MAX) &&
    sum(blocks.map(lengthOf)) <= TEXTS_MAX &&
    escapeSlack(confirmText(card)).length <= CONFIRM_TEXT_MAX
  );
}

/** @param buttonValue names the ask and its digest to this server; it is looked up and never believed. */
export function slackMessage(
  card: Card,
  state: CardState,
  options: { buttonValue: string; fits: boolean },
): SlackMessage {
  const { fits, buttonValue } = options;
  return {
    text: escapeSlack(headline(card, state)),
    blocks: [
      header(card, state),
      ...card.marks.map((mark) => context(`🧪 ${mark}`)),
      ...(fits ? wholeBlocks(card) : tooLargeBlocks(card)),
      ...wordsBlocks(card),
      section(stateText(state)),
      ...(takesVotes(state) ? [buttons(card, { buttonValue, fits })] : []),
    ],
  };
}

/** Header, marks, the agent's words, state, buttons. */
const BLOCKS_AROUND = 8;

/** Everything that an approval is about, in order; a line never stands half in one block. */
function wholeBlocks(card: Card): SectionBlock[] {
  const digest: CardSection = {
    title: 'Digest',
    lines: [
      { label: 'SHA-256', value: card.digest },
      { label: 'Request', value: card.requestId },
    ],
  };
  return [consequenceSection(card), ...card.sections, digest, card.terms].flatMap(sectionBlocks);
}

function consequenceSection({ consequence, signs }: Card): CardSection {
  return {
    title: 'An approval makes this happen',
    lines: [{ label: signs.effectClass, value: consequence }],
  };
}

function sectionBlocks({ title, lines }: CardSection): SectionBlock[] {
  const blocks: string[] = [];
  let text = `▸ ${title}`;
  for (const line of lines.map(lineText)) {
    if (escapeSlack(`${text}\n${line}`).length > SECTION_MAX) {
      blocks.push(text);
      text = `▸ ${title}, continued`;
    }
    text = `${text}\n${line}`;
  }
  return [...blocks, text].map(section);
}

function lineText({ label, value }: FactLine): string {
  return `${label}: ${value}`;
}

function tooLargeBlocks(card: Card): SectionBlock[] {
  const lines = sum(card.sections.map((part) => part.lines.length));
  const notice = [
    `✋ This request has ${lines} lines and does not fit on a card. It is not shown in part, so it cannot be approved here.`,
    `The whole: /v1/requests/${card.requestId}`,
    `Digest: ${card.digest}`,
  ];
  const who = card.sections.slice(0, 1).flatMap(sectionBlocks);
  return [...who.filter((block) => lengthOf(block) <= SECTION_MAX), section(notice.join('\n'))];
}

/** What the agent says stands apart, last, and decides nothing; too long, it is left out and not the request. */
function wordsBlocks({ justification }: Card): SectionBlock[] {
  if (justification === null) return [];
  const text = `💬 The agent’s own words, not verified by anybody:\n“${justification}”`;
  return escapeSlack(text).length <= WORDS_MAX
    ? [section(text)]
    : [section(`💬 The agent’s own words are too long for a card (${justification.length} characters).`)];
}

function buttons(card: Card, { buttonValue, fits }: { buttonValue: string; fits: boolean }): ActionsBlock {
  const value = buttonValue;
  const approve = {
    type: 'button' as const,
    action_id: APPROVE,
    style: 'primary' as const,
    text: plain('Approve'),
    value,
    confirm: {
      title: plain('Approve this?'),
      text: plain(confirmText(card)),
      confirm: plain('Approve'),
      deny: plain('Go back'),
    },
  };
  const deny = {
    type: 'button' as const,
    action_id: DENY,
    style: 'danger' as const,
    text: plain('Deny'),
    value,
  };
  // Saying no needs no reading: it tightens, and it is always there.
  return { type: 'actions', block_id: 'firebreak_vote', elements: fits ? [approve, deny] : [deny] };
}

function confirmText({ consequence, environment }: Card): string {
  return `You make this happen in ${environment}: ${consequence}.`;
}

/** For notifications and screen readers: names of ours alone, because Slack reads this one as mrkdwn. */
function headline({ signs, environment, action, requestId }: Card, state: CardState): string {
  const what = takesVotes(state) ? 'approval wanted for' : 'no longer open:';
  return `${signs.environment} ${environment}: ${what} ${action} (${requestId})`;
}

function header({ signs, environment }: Card, state: CardState): HeaderBlock {
  const what = takesVotes(state) ? 'approval wanted' : 'approval closed';
  return { type: 'header', text: plain(`${signs.environment} ${environment}: ${what}`) };
}

function context(text: string): ContextBlock {
  return { type: 'context', elements: [plain(text)] };
}

function section(text: string): SectionBlock {
  return { type: 'section', text: plain(text) };
}

function plain(text: string): PlainTextElement {
  return { type: 'plain_text', text: escapeSlack(text), emoji: false };
}

/** Slack decodes exactly these three in every text object: unescaped, `&lt;` and `<` would look the same. */
export function escapeSlack(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function lengthOf({ text }: SectionBlock): number {
  return text?.text.length ?? 0;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
