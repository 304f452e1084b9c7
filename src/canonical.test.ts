import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { canonicalText, sha256Base64url } from './canonical.ts';

const vectors = new URL('../test/vectors/jcs/', import.meta.url);
const read = (file: string) => readFileSync(new URL(file, vectors), 'utf8');

describe('RFC 8785', () => {
  test.each(readdirSync(new URL('input', vectors)))('%s has the published form, byte by byte', (name) => {
    const text = canonicalText(JSON.parse(read(`input/${name}`)));
    expect(text).toBe(read(`output/${name}`));
    const hex = read(`outhex/${name.replace('.json', '.txt')}`).replaceAll(/\s/g, '');
    expect(Buffer.from(text).toString('hex')).toBe(hex);
  });

  test('numbers have the published spelling', () => {
    const lines = read('es6numbers-1000.txt').trimEnd().split('\n');
    expect(lines).toHaveLength(1_000);
    const spelled = lines.map((line) => {
      const [bits = ''] = line.split(',');
      const value = Buffer.from(bits.padStart(16, '0'), 'hex').readDoubleBE();
      return `${bits},${canonicalText(value)}`;
    });
    expect(spelled).toEqual(lines);
  });

  test('the vectors are the published ones', () => {
    // SHA-256 of the first 1000 lines, as json-canonicalization publishes it.
    const published = 'be18b62b6f69cdab33a7e0dae0d9cfa869fda80ddc712221570f9f40a5878687';
    expect(sha256Base64url(read('es6numbers-1000.txt'))).toBe(
      Buffer.from(published, 'hex').toString('base64url'),
    );
  });

  test('what has no canonical form is refused', () => {
    expect(canonicalText('\u{1f600}')).toBe('"\u{1f600}"');
    for (const value of ['\ud83d', { '\ude00': 1 }, Number.NaN, Number.POSITIVE_INFINITY, undefined, 1n]) {
      expect(() => canonicalText(value)).toThrowError(expect.objectContaining({ code: 'INVALID_INPUT' }));
    }
  });
});
