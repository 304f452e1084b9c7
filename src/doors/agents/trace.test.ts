import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { traceIdOf } from './trace.ts';

const trace = 'ab'.repeat(16);
const parent = 'cd'.repeat(8);

test('a well-formed traceparent keeps its trace', () => {
  expect(traceIdOf(`00-${trace}-${parent}-01`, randomBytes)).toBe(trace);
});

test.each([
  undefined,
  '',
  `01-${trace}-${parent}-01`,
  `00-${trace}-${parent}-01-more`,
  `00-${trace.toUpperCase()}-${parent}-01`,
  `00-${'0'.repeat(32)}-${parent}-01`,
  `00-${trace}-${'0'.repeat(16)}-01`,
  ` 00-${trace}-${parent}-01`,
])('%j starts a new trace', (header) => {
  const made = traceIdOf(header, randomBytes);
  expect(made).toMatch(/^[0-9a-f]{32}$/);
  expect(made).not.toBe(trace);
});
