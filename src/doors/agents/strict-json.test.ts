import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { canonicalText } from '../../canonical.ts';
import { Refusal } from '../../refusal.ts';
import { BODY_MAX_BYTES, DEPTH_MAX, parseStrict } from './strict-json.ts';

const parse = (text: string) => parseStrict(new TextEncoder().encode(text));
const detailsSchema = z.object({ faults: z.array(z.object({ pointer: z.string(), message: z.string() })) });

/** The refusal's code and the pointers of its faults, or what was accepted. */
function outcome(bytes: string | Uint8Array): unknown {
  try {
    return { accepted: typeof bytes === 'string' ? parse(bytes) : parseStrict(bytes) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const details = detailsSchema.safeParse(error.details);
    return { code: error.code, pointers: details.data?.faults.map(({ pointer }) => pointer) };
  }
}
const refused = (pointers: string[], code = 'INVALID_INPUT') => ({ code, pointers });

describe('grammar and size', () => {
  test('UTF-8 is accepted, other bytes and a byte order mark are refused', () => {
    expect(outcome('{"a":"é"}')).toEqual({ accepted: { a: 'é' } });
    expect(outcome(new Uint8Array([0x22, 0xe9, 0x22]))).toEqual(refused([''], 'MALFORMED_JSON'));
    expect(outcome(new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22]))).toEqual(refused([''], 'MALFORMED_JSON'));
    expect(outcome(new Uint8Array([0xef, 0xbb, 0xbf, 0x31]))).toEqual(refused([''], 'MALFORMED_JSON'));
  });

  test.each(['', '{', "{'a':1}", '{"a":1,}', '[1,]', '// x\n1', '01', 'NaN', '1 2', '"\n"', '"\\x41"'])(
    '%j is no JSON',
    (text) => expect(outcome(text)).toEqual(refused([''], 'MALFORMED_JSON')),
  );

  test('a body of the limit is accepted, one byte more is refused', () => {
    expect(outcome(`"${'a'.repeat(BODY_MAX_BYTES - 2)}"`)).toHaveProperty('accepted');
    expect(outcome(`"${'a'.repeat(BODY_MAX_BYTES - 1)}"`)).toHaveProperty('code', 'TOO_LARGE');
  });

  test('levels up to the limit are accepted, one more is refused where it opens', () => {
    const nested = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`;
    expect(outcome(nested(DEPTH_MAX))).toHaveProperty('accepted');
    expect(outcome(nested(DEPTH_MAX + 1))).toEqual(refused(['/0'.repeat(DEPTH_MAX)]));
  });

  test('128 KiB of brackets overflow nothing', () => {
    const half = BODY_MAX_BYTES / 2;
    expect(outcome('['.repeat(BODY_MAX_BYTES))).toEqual(refused([''], 'MALFORMED_JSON'));
    expect(outcome('['.repeat(half) + ']'.repeat(half))).toEqual(refused(['/0'.repeat(DEPTH_MAX)]));
    expect(outcome(`${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`)).toHaveProperty(
      'code',
      'INVALID_INPUT',
    );
  });
});

describe('members', () => {
  test('the same name in two objects is accepted, twice in one is refused, however it is escaped', () => {
    expect(outcome('{"a":{"b":1},"c":{"b":1}}')).toHaveProperty('accepted');
    expect(outcome('{"a":{"b":1,"b":2}}')).toEqual(refused(['/a/b']));
    expect(outcome('{"a":1,"\\u0061":2}')).toEqual(refused(['/a']));
    expect(outcome('[{"a":1},{"a":1,"x":[{}],"a":1}]')).toEqual(refused(['/1/a']));
  });

  test('constructor is a name like others, __proto__ is refused in every spelling', () => {
    expect(outcome('{"constructor":1}')).toHaveProperty('accepted');
    expect(outcome('{"__proto__":1}')).toEqual(refused(['/__proto__']));
    expect(outcome('[{"\\u005f_proto__":{"a":1}}]')).toEqual(refused(['/0/__proto__']));
    expect(outcome('["__proto__"]')).toHaveProperty('accepted');
  });

  test('pointers escape ~ and /', () => {
    expect(outcome('{"a/b":{"~":1,"~":2}}')).toEqual(refused(['/a~1b/~0']));
  });
});

describe('strings', () => {
  test('pairs of surrogates are accepted, lone ones are refused in values and names', () => {
    expect(outcome('"\\ud83d\\ude00"')).toEqual({ accepted: '😀' });
    expect(outcome('["\\ud83d","x\\ude00","\\ude00\\ud83d"]')).toEqual(refused(['/0', '/1', '/2']));
    expect(outcome('{"\\ud83d":1}')).toEqual(refused(['/\ufffd']));
  });

  test('U+0001 is accepted, U+0000 is refused: PostgreSQL cannot hold it', () => {
    expect(outcome('"\\u0001"')).toHaveProperty('accepted');
    expect(outcome('{"a\\u0000":"b\\u0000"}')).toEqual(refused(['/a\0', '/a\0']));
  });
});

describe('numbers', () => {
  test.each([
    '0',
    '-0',
    '1.0',
    '1e3',
    '0.1',
    '1.5e-7',
    '9007199254740991',
    '-9007199254740991',
    '100000e-5',
    '0e999999999',
  ])('%s is held as written', (text) => expect(outcome(text)).toHaveProperty('accepted'));

  test.each([
    '9007199254740992',
    '-9007199254740993',
    '9007199254740993.0',
    '9007199254740990.6',
    '1e16',
    '1e400',
    '-1e400',
    '1e-400',
    '1.00000000000000000001',
    '4503599627370497.99999999',
    '1e-999999999999999999999',
    '18446744073709551616',
  ])('%s is refused', (text) => expect(outcome(`{"n":[${text}]}`)).toEqual(refused(['/n/0'])));
});

test('every fault is named, in the order of the text', () => {
  const text = '{"a":1,"a":9007199254740993,"b":{"__proto__":"\\ud800"},"c":[0,1e400]}';
  expect(outcome(text)).toEqual(refused(['/a', '/a', '/b/__proto__', '/b/__proto__', '/c/1']));
});

test('an answer stays small, however many faults and however long their pointers', () => {
  const many = outcome(`[${'1e999,'.repeat(20_000)}1]`);
  expect(JSON.stringify(many).length).toBeLessThan(600_000);
  const long = outcome(`{"${'k'.repeat(60_000)}":[${'1e999,'.repeat(9_000)}1]}`);
  expect(JSON.stringify(long).length).toBeLessThan(600_000);
});

describe('properties', () => {
  /** JSON that the door takes: well-formed text without U+0000, numbers that survive, no __proto__. */
  const text = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0'));
  const name = text.filter((value) => value !== '__proto__');
  const value = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      text,
      fc.maxSafeInteger(),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(name, tie('value'), { maxKeys: 4 }),
    ),
  })).value;

  test('what is accepted is what JSON.parse reads, and has one canonical form', () => {
    fc.assert(
      fc.property(value, fc.integer({ min: 0, max: 3 }), (data, indent) => {
        const parsed = parse(JSON.stringify(data, undefined, indent));
        expect(canonicalText(parsed)).toBe(canonicalText(data));
      }),
      { numRuns: 300 },
    );
  });

  test('a member repeated anywhere is found at its pointer', () => {
    fc.assert(
      fc.property(value, name, value, (before, twice, between) => {
        const [first, key, second] = [before, twice, between].map((part) => JSON.stringify(part));
        const expected = `/1/${twice.replaceAll('~', '~0').replaceAll('/', '~1')}`;
        const seen = outcome(`[${first},{${key}:${second},${key}:${first}}]`);
        expect(seen).toEqual(refused([expected]));
      }),
      { numRuns: 200 },
    );
  });

  test('any bytes at all are accepted or refused with a code, never anything else', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc
        .array(
          fc.constantFrom('{', '}', '[', ']', ',', ':', '"a"', '"', '\\ud800', '1e999', '1', ' ', '\u2028'),
        )
        .map((parts) => new TextEncoder().encode(parts.join(''))),
    );
    fc.assert(
      fc.property(bytes, (input) => {
        expect(outcome(input)).toBeTypeOf('object');
      }),
      { numRuns: 1_000 },
    );
  });
});
