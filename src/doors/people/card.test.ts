import { expect, test } from 'vitest';
import { type CardFacts, renderCard } from './card.ts';
import { inputLines, visible } from './visible.ts';

const facts: CardFacts = {
  content: {
    requestId: 'req_1',
    revision: 1,
    session: 'ses_1',
    sub: 'agent:cleaner',
    act: null,
    action: 'postgres.rows.delete',
    schemaVersion: 1,
    input: { table: 'orders', limit: 500 },
    tenant: 'acme',
    environment: 'production',
    resource: 'shop/public.orders',
  },
  agent: 'cleaner',
  owner: 'Olga',
  manifest: {
    iss: 'root',
    iat: 1,
    jti: 'j',
    name: 'postgres.rows.delete',
    schemaVersion: 1,
    title: 'Delete rows',
    effectClass: 'reversible',
    targetKind: 'postgres',
    overshoot: [],
    longestRunMs: 1_000,
  },
  plan: { version: 1, summary: [], counts: { rows: 120 }, undo: 'kept', overshoot: [], effects: null },
  digest: 'D'.repeat(43),
  quorum: 1,
  groups: [{ id: 'operators', members: ['Mia'] }],
  expiresAt: new Date('2026-01-01T10:00:00Z'),
  mode: 'production',
  justification: 'the rows are stale',
};

const linesOf = (card: ReturnType<typeof renderCard>) =>
  card.sections.flatMap(({ lines }) => lines.map(({ label, value }) => `${label}: ${value}`));

test('the sentence that is approved has the plan’s own numbers and the request’s resource', () => {
  expect(renderCard(facts).consequence).toBe('delete 120 rows of shop/public.orders');
  const plan = { ...facts.plan, counts: { cascadedRows: 12, rows: 1 } };
  expect(renderCard({ ...facts, plan }).consequence).toBe(
    'delete 1 row of shop/public.orders, with 12 cascaded rows',
  );
  expect(linesOf(renderCard({ ...facts, plan }))).toContain('Count of cascaded rows: 12');
});

test('whatever is asked changes the card’s hash, and the agent’s own words and the votes needed do not', () => {
  const { cardHash } = renderCard(facts);
  const same: Partial<CardFacts>[] = [
    { justification: 'trust me' },
    { quorum: 2 },
    { expiresAt: new Date(0) },
  ];
  for (const change of same) expect(renderCard({ ...facts, ...change }).cardHash).toBe(cardHash);
  const other: Partial<CardFacts>[] = [
    { agent: 'reporter' },
    { owner: 'Mia' },
    { digest: 'E'.repeat(43) },
    { content: { ...facts.content, input: { table: 'orders', limit: 501 } } },
    { content: { ...facts.content, environment: 'staging' } },
    { content: { ...facts.content, sub: 'mia' } },
    { content: { ...facts.content, act: { sub: 'agent:other' } } },
    { plan: { ...facts.plan, counts: { rows: 121 } } },
    { plan: { ...facts.plan, undo: 'none' } },
    { plan: { ...facts.plan, overshoot: ['what a trigger does'] } },
    { manifest: { ...facts.manifest, overshoot: ['more'] } },
    { manifest: { ...facts.manifest, effectClass: 'irreversible' } },
  ];
  const hashes = other.map((change) => renderCard({ ...facts, ...change }).cardHash);
  expect(new Set([cardHash, ...hashes]).size).toBe(other.length + 1);
});

test('the agent’s own words stand in no section and decide nothing', () => {
  const card = renderCard({ ...facts, justification: 'Count of rows: 1' });
  expect(card.justification).toBe('Count of rows: 1');
  expect(linesOf(card)).not.toContain('Count of rows: 1');
  expect(linesOf(card)).toContain('Count of rows: 120');
});

test('every member of the input is one line, of whatever form', () => {
  expect(inputLines({ b: [1, '1', null], a: { 'x y': true, c: [] } })).toEqual([
    { label: 'a.c', value: '[]' },
    { label: 'a["x y"]', value: 'true' },
    { label: 'b[0]', value: '1' },
    { label: 'b[1]', value: '"1"' },
    { label: 'b[2]', value: 'null' },
  ]);
  expect(inputLines({})).toEqual([{ label: 'input', value: '{}' }]);
});

test('an input cannot write lines of its own onto the card', () => {
  const input = { table: 'orders\nCount of rows: 1', 'x\n▸ Approval': 'y' };
  const lines = linesOf(renderCard({ ...facts, content: { ...facts.content, input } }));
  expect(lines).toContain('table: "orders\\nCount of rows: 1"');
  expect(lines.every((line) => !line.includes('\n'))).toBe(true);
});

test.each([
  ['zero width space', '\u200B', '\\u{200B}'],
  ['right-to-left override', '\u202E', '\\u{202E}'],
  ['first strong isolate', '\u2068', '\\u{2068}'],
  ['no-break space', '\u00A0', '\\u{A0}'],
  ['ideographic space', '\u3000', '\\u{3000}'],
  ['soft hyphen', '\u00AD', '\\u{AD}'],
  ['word joiner', '\u2060', '\\u{2060}'],
  ['tag letter', '\u{E0041}', '\\u{E0041}'],
  ['variation selector', '\uFE0F', '\\u{FE0F}'],
  ['hangul filler', '\u3164', '\\u{3164}'],
  ['braille blank', '\u2800', '\\u{2800}'],
  ['line feed', '\n', '\\u{A}'],
  ['line separator', '\u2028', '\\u{2028}'],
  ['lone surrogate', '\uD800', '\\u{D800}'],
  ['private use', '\uE000', '\\u{E000}'],
])('a hidden character is written out: %s', (_name, character, written) => {
  expect(visible(`a${character}b`)).toBe(`a${written}b`);
  const { content } = facts;
  const resource = `shop/${character}orders`;
  const card = renderCard({
    ...facts,
    content: { ...content, resource, input: { [`k${character}`]: character } },
    owner: `Ol${character}ga`,
    justification: `x${character}`,
  });
  for (const text of [...linesOf(card), card.consequence, card.justification ?? '']) {
    expect(text).not.toContain(character);
  }
});

test('what spells a hidden character and what is one never look the same', () => {
  expect(visible('a\\u{200B}b')).not.toBe(visible('a\u200Bb'));
  expect(visible('a\\\\u{200B}b')).not.toBe(visible('a\\u{200B}b'));
  expect(inputLines('\\u{200B}')).not.toEqual(inputLines('\u200B'));
  expect(visible('plain text, with ü and 漢字')).toBe('plain text, with ü and 漢字');
});

test('a place that nobody told us about is taken for production, and development is marked', () => {
  const signOf = (environment: string) =>
    renderCard({ ...facts, content: { ...facts.content, environment } }).signs.environment;
  expect([signOf('staging'), signOf('production'), signOf('prod-eu'), signOf('test')]).toEqual([
    '🟠',
    '🔴',
    '🔴',
    '🟢',
  ]);
  expect(renderCard(facts).marks).toEqual([]);
  expect(renderCard({ ...facts, mode: 'development' }).marks).toHaveLength(1);
});
