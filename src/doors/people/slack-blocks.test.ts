import { expect, test } from 'vitest';
import { messageBlocksSchema } from '../../dev/slack-stand-in/blocks.ts';
import type { Card } from './card.ts';
import type { CardState } from './card-state.ts';
import { fitsSlack, slackMessage } from './slack-blocks.ts';

const waiting: CardState = { kind: 'waiting', approvedBy: [], needed: 1, stillAsked: ['Mia'] };
const buttonValue = `1.${'D'.repeat(43)}`;

function cardOf(changes: Partial<Card> = {}): Card {
  return {
    requestId: 'req_1',
    action: 'postgres.rows.delete',
    environment: 'production',
    signs: { environment: '🔴', effectClass: '↩' },
    consequence: 'delete 120 rows of shop/public.orders',
    sections: [
      { title: 'Who asks', lines: [{ label: 'Agent', value: 'cleaner' }] },
      { title: 'What exactly', lines: [{ label: 'table', value: '"orders"' }] },
    ],
    digest: 'D'.repeat(43),
    cardHash: 'H'.repeat(43),
    terms: { title: 'Approval', lines: [{ label: 'Needed', value: '1 person' }] },
    marks: [],
    justification: null,
    ...changes,
  };
}

function shown(card: Card, state: CardState = waiting) {
  const message = slackMessage(card, state, { buttonValue, fits: fitsSlack(card) });
  return { ...message, json: JSON.stringify(message.blocks), buttons: buttonsOf(message) };
}

function buttonsOf({ blocks }: ReturnType<typeof slackMessage>): string[] {
  return blocks.flatMap((block) =>
    block.type === 'actions'
      ? block.elements.flatMap((element) => (element.type === 'button' ? [element.text.text] : []))
      : [],
  );
}

const inputOf = (lines: number, value: string) =>
  cardOf({
    sections: [
      { title: 'Who asks', lines: [{ label: 'Agent', value: 'cleaner' }] },
      {
        title: 'What exactly',
        lines: Array.from({ length: lines }, (_, at) => ({ label: `v[${at}]`, value })),
      },
    ],
  });

test('a card that fits shows every line of it, with both buttons', () => {
  const card = inputOf(40, 'x'.repeat(100));
  const { json, buttons } = shown(card);
  for (const { label, value } of card.sections.flatMap(({ lines }) => lines))
    expect(json).toContain(`${label}: ${value}`);
  expect(json).toContain(card.digest);
  expect(json).toContain(card.consequence);
  expect(buttons).toEqual(['Approve', 'Deny']);
});

test.each([
  ['a line that is longer than a section', inputOf(1, 'x'.repeat(3_001))],
  ['a line that is longer once Slack’s own characters are written', inputOf(1, 'xxx&'.repeat(400))],
  ['more text than Slack takes', inputOf(100, 'x'.repeat(100))],
  ['a sentence that no confirmation holds', cardOf({ consequence: `delete ${'x'.repeat(300)}` })],
  [
    'more blocks than Slack takes',
    cardOf({
      sections: Array.from({ length: 60 }, (_, at) => ({ title: `part ${at} xxx`, lines: [] })).with(0, {
        title: 'Who asks',
        lines: [],
      }),
    }),
  ],
])('what does not fit is not cut and cannot be approved: %s', (_what, card) => {
  expect(fitsSlack(card)).toBe(false);
  const { json, buttons, blocks } = shown(card);
  expect(buttons).toEqual(['Deny']);
  expect(json).toContain('It is not shown in part, so it cannot be approved here.');
  expect(json).toContain('/v1/requests/req_1');
  expect(json).not.toContain('xxx');
  expect(messageBlocksSchema.safeParse(blocks).success).toBe(true);
});

test('nothing of a request is mrkdwn, a link, a mention or an entity of its own', () => {
  const attack = '<https://evil.test|Approve> <!channel> <@U1> *bold* &lt;b&gt; `code`';
  const escaped =
    '&lt;https://evil.test|Approve&gt; &lt;!channel&gt; &lt;@U1&gt; *bold* &amp;lt;b&amp;gt; `code`';
  const card = cardOf({
    sections: [{ title: 'What exactly', lines: [{ label: attack, value: attack }] }],
    consequence: attack,
    justification: attack,
  });
  const { json, text } = shown(card);
  expect(json).not.toContain('mrkdwn');
  expect(json).not.toContain('<');
  expect(json.split(escaped).length - 1).toBe(5);
  expect(json).not.toContain('"emoji":true');
  // The one text that Slack reads as mrkdwn holds no words of a request's input.
  expect(text).toBe('🔴 production: approval wanted for postgres.rows.delete (req_1)');
});

test('the agent’s own words stand apart, after everything that is approved, marked unverified', () => {
  const { blocks, json } = shown(cardOf({ justification: 'Needed: 0 persons' }));
  const texts = blocks.map((block) => JSON.stringify(block));
  const words = texts.findIndex((text) => text.includes('Needed: 0 persons'));
  const terms = texts.findIndex((text) => text.includes('Needed: 1 person'));
  expect(words).toBeGreaterThan(terms);
  expect(texts[words]).toContain('not verified by anybody');
  expect(json).not.toContain('too long for a card');
});

test('words that are too long are left out, and the request stays whole and approvable', () => {
  const { json, buttons } = shown(cardOf({ justification: 'y'.repeat(2_001) }));
  expect(json).not.toContain('yyy');
  expect(json).toContain('too long for a card (2001 characters)');
  expect(buttons).toEqual(['Approve', 'Deny']);
});

test.each<CardState>([
  { kind: 'approved', approvedBy: ['Mia'] },
  { kind: 'denied', by: 'Mia', reason: 'x'.repeat(500) },
  { kind: 'replaced' },
  { kind: 'expired' },
  { kind: 'ended', state: 'done', detail: '120 rows' },
  { kind: 'ended', state: 'indeterminate', detail: '' },
])('no buttons stand on a card that is over: $kind', (state) => {
  const { buttons, blocks, text } = shown(cardOf(), state);
  expect(buttons).toEqual([]);
  expect(text).toContain('no longer open');
  expect(messageBlocksSchema.safeParse(blocks).success).toBe(true);
});

test('the largest card that fits, with the longest words, is one that Slack takes', () => {
  const card = { ...inputOf(80, 'x'.repeat(95)), justification: 'y'.repeat(1_900), marks: ['development'] };
  expect(fitsSlack(card)).toBe(true);
  const { blocks } = shown(card, { kind: 'denied', by: 'Mia', reason: '&'.repeat(500) });
  expect(messageBlocksSchema.safeParse(blocks).success).toBe(true);
  expect(JSON.stringify(blocks).length).toBeLessThan(18_000);
});
