import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import known from '../../test/vectors/merkle/rfc6962_kat.json' with { type: 'json' };
import {
  appendLeaves,
  emptyRange,
  emptyRoot,
  type Hash,
  leafHash,
  nodeHash,
  restoreRange,
  rootOf,
  rootOfRange,
  storeRange,
} from './merkle.ts';

const SIZE_MAX = 40;
const leaves = Array.from({ length: SIZE_MAX }, (_, index) => leafHash(Buffer.from(`entry ${index}`)));
const roots = Array.from({ length: SIZE_MAX + 1 }, (_, size) => definedRoot(leaves.slice(0, size)));
const sizes = Array.from({ length: SIZE_MAX }, (_, index) => index + 1);

const invalid = expect.objectContaining({ code: 'LEDGER_INVALID' });
const hashes = fc.uint8Array({ minLength: 32, maxLength: 32 });

/** MTH(D[n]) word by word as RFC 6962 2.1 has it: a second way to each root, by recursion from the top. */
function definedRoot(part: Hash[]): Hash {
  const [only, ...others] = part;
  if (only === undefined) return emptyRoot();
  if (others.length === 0) return only;
  const split = 2 ** (Math.ceil(Math.log2(part.length)) - 1);
  return nodeHash(definedRoot(part.slice(0, split)), definedRoot(part.slice(split)));
}

function hexOf(bytes: Hash): string {
  return Buffer.from(bytes).toString('hex');
}

describe('roots', () => {
  const entries = known.leaves_hex.map((hex) => Buffer.from(hex, 'hex'));

  test.each(Object.entries(known.roots_hex))('the known tree of size %s has its known root', (size, root) => {
    const tree = entries.slice(0, Number(size)).map(leafHash);
    expect(hexOf(rootOf(tree))).toBe(root);
  });

  test('every size has the root of the definition', () => {
    for (const size of [0, ...sizes]) expect(rootOf(leaves.slice(0, size))).toEqual(roots[size]);
  });

  test('an entry that looks like a node does not hash like one', () => {
    const [left, right] = [leafHash(Buffer.from('left')), leafHash(Buffer.from('right'))];
    expect(leafHash(Buffer.concat([left, right]))).not.toEqual(nodeHash(left, right));
  });

  test.each([0, 31, 33])('a leaf hash of %d bytes is refused', (length) => {
    expect(() => rootOf([new Uint8Array(length)])).toThrow(invalid);
  });
});

describe('compact range', () => {
  test('leaves in any batches, stored and restored between them, give the same root', () => {
    fc.assert(
      fc.property(fc.array(fc.array(hashes, { maxLength: 9 }), { maxLength: 12 }), (batches) => {
        let range = emptyRange;
        for (const batch of batches) {
          range = restoreRange(JSON.parse(JSON.stringify(storeRange(appendLeaves(range, batch)))));
        }
        expect(range.size).toBe(batches.flat().length);
        expect(hexOf(rootOfRange(range))).toBe(hexOf(definedRoot(batches.flat())));
      }),
    );
  });

  test('the range before an append still holds after it', () => {
    const before = appendLeaves(emptyRange, leaves.slice(0, 7));
    appendLeaves(before, leaves.slice(7));
    expect(rootOfRange(before)).toEqual(roots[7]);
  });

  const stored = storeRange(appendLeaves(emptyRange, leaves.slice(0, 5)));
  const first = stored.hashes.slice(0, 1);

  test('a stored range is restored', () => {
    expect(rootOfRange(restoreRange(stored))).toEqual(roots[5]);
  });

  test.each([
    ['nothing', undefined],
    ['an unknown member', { ...stored, root: '' }],
    ['a negative size', { size: -1, hashes: [] }],
    ['a broken size', { size: 0.5, hashes: [] }],
    ['a size beyond what a number holds exactly', { size: 2 ** 53, hashes: first }],
    ['a hash too few', { ...stored, hashes: first }],
    ['a hash too many', { ...stored, hashes: [...stored.hashes, ...first] }],
    ['a short hash', { size: 1, hashes: ['AAAA'] }],
    ['a hash in another spelling', { size: 1, hashes: first.map((hash) => ` ${hash}`) }],
  ])('a stored range with %s is refused', (_, value) => {
    expect(() => restoreRange(value)).toThrow(invalid);
  });
});
