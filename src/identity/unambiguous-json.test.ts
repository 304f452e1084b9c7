import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseUnambiguous } from './unambiguous-json.ts';

test('JSON in which each member stands once is what JSON.parse makes of it', () => {
  fc.assert(
    fc.property(fc.json(), fc.integer({ min: 0, max: 3 }), (text, indent) => {
      const spaced = JSON.stringify(JSON.parse(text), undefined, indent);
      expect(parseUnambiguous(spaced)).toEqual(JSON.parse(text));
      expect(parseUnambiguous(Buffer.from(spaced))).toEqual(JSON.parse(text));
    }),
  );
});

test.each([
  '{"a":":","b":"\\":{","c\\":":1,"\\\\":[":"]}',
  '{"__proto__":{"a":1},"constructor":2}',
  '[{"a":1},{"a":1}]',
  '{"a":{"a":{"a":1}}}',
])('%s is one reading', (text) => {
  expect(parseUnambiguous(text)).toEqual(JSON.parse(text));
});

test.each([
  '{"a":1,"a":1}',
  '{"a":1,"\\u0061":2}',
  '{"b":[{"c":{"a":1,"x":":","a":2}}]}',
  '{"__proto__":1,"__proto__":2}',
  '{"":1,"":2}',
])('%s is two readings and refused', (text) => {
  expect(() => parseUnambiguous(text)).toThrowError('stands twice');
});

test('depth is no overflow', () => {
  const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
  expect(Array.isArray(parseUnambiguous(deep))).toBe(true);
});

test('bytes that are no UTF-8, and a byte order mark, are refused', () => {
  expect(parseUnambiguous(Buffer.from('"é"'))).toBe('é');
  expect(() => parseUnambiguous(Buffer.from([0x22, 0xff, 0x22]))).toThrowError(TypeError);
  expect(() => parseUnambiguous(Buffer.from('\ufeff1'))).toThrowError(SyntaxError);
});
