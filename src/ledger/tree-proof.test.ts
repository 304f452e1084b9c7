import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { emptyRoot, type Hash, leafHash, nodeHash, rootOf } from './merkle.ts';
import { checkConsistency, checkInclusion, consistencyProof, inclusionProof } from './tree-proof.ts';

const SIZE_MAX = 40;
const leaves = Array.from({ length: SIZE_MAX }, (_, index) => leafHash(Buffer.from(`entry ${index}`)));
const sizes = Array.from({ length: SIZE_MAX }, (_, index) => index + 1);

const invalid = expect.objectContaining({ code: 'LEDGER_INVALID' });
const hashes = fc.uint8Array({ minLength: 32, maxLength: 32 });

function flip(bytes: Hash, bit: number): Hash {
  return bytes.map((byte, index) => (index === Math.floor(bit / 8) ? byte ^ (1 << (bit % 8)) : byte));
}

function replaced<T>(list: readonly T[], at: number, change: (value: T) => T): T[] {
  return list.map((value, index) => (index === at ? change(value) : value));
}

describe('inclusion', () => {
  const claimOf = (index: number, size: number) => {
    const part = leaves.slice(0, size);
    const [leaf, root] = [part[index] ?? emptyRoot(), rootOf(part)];
    return { index, size, leaf, root, proof: inclusionProof(index, part) };
  };
  const anyClaim = fc
    .integer({ min: 1, max: SIZE_MAX })
    .chain((size) => fc.integer({ min: 0, max: size - 1 }).map((index) => claimOf(index, size)));

  test('every leaf of every size is proved, at its own index and no other', () => {
    for (const size of sizes) {
      for (let index = 0; index < size; index += 1) {
        const claim = claimOf(index, size);
        expect(() => checkInclusion(claim)).not.toThrow();
        for (let distance = 1; distance < size; distance += 1) {
          const other = { ...claim, index: (index + distance) % size };
          expect(() => checkInclusion(other)).toThrow(invalid);
        }
      }
    }
  });

  test('a proof with any flipped bit is refused', () => {
    fc.assert(
      fc.property(anyClaim, fc.nat({ max: 255 }), fc.nat(), (claim, bit, seed) => {
        expect(() => checkInclusion({ ...claim, leaf: flip(claim.leaf, bit) })).toThrow(invalid);
        expect(() => checkInclusion({ ...claim, root: flip(claim.root, bit) })).toThrow(invalid);
        if (claim.proof.length === 0) return;
        const proof = replaced(claim.proof, seed % claim.proof.length, (hash) => flip(hash, bit));
        expect(() => checkInclusion({ ...claim, proof })).toThrow(invalid);
      }),
    );
  });

  test('a proof that is cut, longer or of short hashes is refused', () => {
    fc.assert(
      fc.property(anyClaim, hashes, (claim, hash) => {
        const { proof } = claim;
        expect(() => checkInclusion({ ...claim, proof: [...proof, hash] })).toThrow(invalid);
        expect(() => checkInclusion({ ...claim, proof: [hash, ...proof] })).toThrow(invalid);
        if (proof.length === 0) return;
        expect(() => checkInclusion({ ...claim, proof: proof.slice(0, -1) })).toThrow(invalid);
        expect(() => checkInclusion({ ...claim, proof: proof.slice(1) })).toThrow(invalid);
        const short = replaced(proof, 0, (value) => value.subarray(1));
        expect(() => checkInclusion({ ...claim, proof: short })).toThrow(invalid);
      }),
    );
  });

  test('a proof that leads to the root of a larger tree than was claimed is refused', () => {
    const claim = claimOf(1, 2);
    expect(() => checkInclusion(claim)).not.toThrow();
    expect(() => checkInclusion({ ...claim, index: 0, size: 1 })).toThrow(invalid);
  });

  test('an empty leaf and an empty root do not match each other', () => {
    const nothing = new Uint8Array(0);
    expect(() => checkInclusion({ index: 0, size: 1, leaf: nothing, root: nothing, proof: [] })).toThrow(
      invalid,
    );
  });

  test.each([
    [0, 0],
    [1, 1],
    [-1, 1],
    [0.5, 1],
    [0, 1.5],
    [0, Number.NaN],
    [0, 2 ** 53],
  ])('index %d of size %d is refused', (index, size) => {
    const [root, leaf] = [emptyRoot(), emptyRoot()];
    expect(() => checkInclusion({ index, size, leaf, root, proof: [] })).toThrow(invalid);
  });

  test.each([-1, 2, 0.5])('no proof is made for index %d of size 2', (index) => {
    expect(() => inclusionProof(index, leaves.slice(0, 2))).toThrow(invalid);
  });

  test('a tree of more than 2^32 leaves is climbed by whole numbers', () => {
    const [height, index] = [40, 2 ** 33 + 5];
    const path = Array.from({ length: height }, (_, level) => leafHash(Buffer.from(`sibling ${level}`)));
    const leaf = leafHash(Buffer.from('deep'));
    const root = path.reduce((below, sibling, level) => {
      const isRight = (BigInt(index) >> BigInt(level)) % 2n === 1n;
      return isRight ? nodeHash(sibling, below) : nodeHash(below, sibling);
    }, leaf);
    const claim = { index, size: 2 ** height, leaf, root, proof: path };
    expect(() => checkInclusion(claim)).not.toThrow();
    expect(() => checkInclusion({ ...claim, index: 5 })).toThrow(invalid);
  });
});

describe('consistency', () => {
  const claimOf = (oldSize: number, newSize: number) => {
    const part = leaves.slice(0, newSize);
    const [oldRoot, newRoot] = [rootOf(part.slice(0, oldSize)), rootOf(part)];
    return { oldSize, newSize, oldRoot, newRoot, proof: consistencyProof(oldSize, part) };
  };
  const anyClaim = fc
    .integer({ min: 1, max: SIZE_MAX })
    .chain((newSize) => fc.integer({ min: 1, max: newSize }).map((oldSize) => claimOf(oldSize, newSize)));

  test('every tree is the beginning of every larger one', () => {
    for (const newSize of sizes) {
      for (let oldSize = 1; oldSize <= newSize; oldSize += 1) {
        expect(() => checkConsistency(claimOf(oldSize, newSize))).not.toThrow();
      }
    }
  });

  test('a proof with any flipped bit is refused', () => {
    fc.assert(
      fc.property(anyClaim, fc.nat({ max: 255 }), fc.nat(), (claim, bit, seed) => {
        const { oldRoot, newRoot, proof } = claim;
        expect(() => checkConsistency({ ...claim, oldRoot: flip(oldRoot, bit) })).toThrow(invalid);
        expect(() => checkConsistency({ ...claim, newRoot: flip(newRoot, bit) })).toThrow(invalid);
        if (proof.length === 0) return;
        const broken = replaced(proof, seed % proof.length, (hash) => flip(hash, bit));
        expect(() => checkConsistency({ ...claim, proof: broken })).toThrow(invalid);
      }),
    );
  });

  test('a proof that is cut, longer or of short hashes is refused', () => {
    fc.assert(
      fc.property(anyClaim, hashes, (claim, hash) => {
        const { proof } = claim;
        expect(() => checkConsistency({ ...claim, proof: [...proof, hash] })).toThrow(invalid);
        expect(() => checkConsistency({ ...claim, proof: [hash, ...proof] })).toThrow(invalid);
        if (proof.length === 0) return;
        expect(() => checkConsistency({ ...claim, proof: proof.slice(0, -1) })).toThrow(invalid);
        expect(() => checkConsistency({ ...claim, proof: proof.slice(1) })).toThrow(invalid);
        const short = replaced(proof, 0, (value) => value.subarray(1));
        expect(() => checkConsistency({ ...claim, proof: short })).toThrow(invalid);
      }),
    );
  });

  test('a log that rewrites one of its old entries cannot prove that it only grew', () => {
    fc.assert(
      fc.property(anyClaim, fc.nat(), (claim, seed) => {
        const { oldSize, newSize } = claim;
        const rewritten = replaced(leaves.slice(0, newSize), seed % oldSize, (leaf) => flip(leaf, 0));
        const proof = consistencyProof(oldSize, rewritten);
        expect(() => checkConsistency({ ...claim, newRoot: rootOf(rewritten), proof })).toThrow(invalid);
      }),
    );
  });

  test.each([
    ['the empty tree', 0, 1],
    ['two empty trees', 0, 0],
    ['a tree that shrinks', 2, 1],
    ['a negative size', -1, 1],
    ['a broken size', 0.5, 1],
  ])('consistency with %s is refused', (_, oldSize, newSize) => {
    const [oldRoot, newRoot] = [emptyRoot(), emptyRoot()];
    expect(() => checkConsistency({ oldSize, newSize, oldRoot, newRoot, proof: [] })).toThrow(invalid);
    expect(() => consistencyProof(oldSize, leaves.slice(0, newSize))).toThrow(invalid);
  });

  test('two roots of one size are refused, with and without a proof', () => {
    const claim = { ...claimOf(3, 3), newRoot: emptyRoot() };
    expect(() => checkConsistency(claim)).toThrow(invalid);
    expect(() => checkConsistency({ ...claim, proof: [emptyRoot()] })).toThrow(invalid);
  });

  test('a short root does not match itself', () => {
    const oldRoot = new Uint8Array(12);
    expect(() => checkConsistency({ oldSize: 1, newSize: 1, oldRoot, newRoot: oldRoot, proof: [] })).toThrow(
      invalid,
    );
  });
});
