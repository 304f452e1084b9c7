import { Refusal } from '../refusal.ts';
import { checkHash, type Hash, nodeHash, rootOf } from './merkle.ts';

/**
 * Proofs over the ledger's tree (RFC 6962 2.1.1 and 2.1.2) and their checks (RFC 9162 2.1.3.2 and 2.1.4.2).
 * It promises that a proof which does not hold is refused with its reason; it refuses consistency with the empty tree,
 * which would prove nothing.
 */

/** The hashes from the leaf's sibling up to the root's child: PATH(m, D[n]) of RFC 6962 2.1.1. */
export function inclusionProof(index: number, leafHashes: readonly Hash[]): Hash[] {
  const size = leafHashes.length;
  checkWhole(index, 'index');
  if (index >= size) throw new Refusal('LEDGER_INVALID', `expected an index below ${size}, got ${index}`);
  return rootsOf(inclusionSpans(index, { from: 0, to: size }), leafHashes);
}

/** That the tree of `oldSize` is the beginning of this one: PROOF(m, D[n]) of RFC 6962 2.1.2. */
export function consistencyProof(oldSize: number, leafHashes: readonly Hash[]): Hash[] {
  const newSize = leafHashes.length;
  checkSizes(oldSize, newSize);
  return rootsOf(consistencySpans(oldSize, { from: 0, to: newSize }), leafHashes);
}

export type InclusionClaim = {
  index: number;
  size: number;
  leaf: Hash;
  root: Hash;
  proof: readonly Hash[];
};

/**
 * RFC 9162 2.1.3.2. The caller takes size and root from one verified checkpoint: a root alone does not say how many
 * leaves are below it.
 */
export function checkInclusion({ index, size, leaf, root, proof }: InclusionClaim): void {
  for (const each of [leaf, root, ...proof]) checkHash(each);
  checkWhole(index, 'index');
  checkWhole(size, 'size');
  if (index >= size) throw new Refusal('LEDGER_INVALID', `expected an index below ${size}, got ${index}`);
  let place: Place = { node: index, last: size - 1 };
  let computed = leaf;
  for (const sibling of proof) {
    computed = isRightChild(place) ? nodeHash(sibling, computed) : nodeHash(computed, sibling);
    place = climb(place);
  }
  checkTop(place);
  checkSame(computed, root, 'inclusion proof does not lead to the root');
}

export type ConsistencyClaim = {
  oldSize: number;
  newSize: number;
  oldRoot: Hash;
  newRoot: Hash;
  proof: readonly Hash[];
};

/** RFC 9162 2.1.4.2. Size 0 is an error: every tree begins with the empty one, so nothing would be proved. */
export function checkConsistency({ oldSize, newSize, oldRoot, newRoot, proof }: ConsistencyClaim): void {
  for (const each of [oldRoot, newRoot, ...proof]) checkHash(each);
  checkSizes(oldSize, newSize);
  // Between equal sizes nothing is left to show: the roots are the same and a proof of any length is too long.
  const start = oldSize === newSize ? { node: 0, last: 0 } : firstPlace(oldSize, newSize);
  // The proof leaves out a subtree that the reader knows: an old tree that is perfect is one node of the new tree.
  const [first, ...rest] = oldSize === newSize || isPowerOfTwo(oldSize) ? [oldRoot, ...proof] : proof;
  if (first === undefined) throw new Refusal('LEDGER_INVALID', 'expected a consistency proof, got none');
  checkClimb({ start, first, rest, oldRoot, newRoot });
}

/** RFC 9162 2.1.4.2 steps 5 to 7: one walk up computes both roots from the same hashes. */
function checkClimb(walk: { start: Place; first: Hash; rest: Hash[]; oldRoot: Hash; newRoot: Hash }): void {
  let place = walk.start;
  let oldComputed = walk.first;
  let newComputed = walk.first;
  for (const sibling of walk.rest) {
    if (isRightChild(place)) {
      oldComputed = nodeHash(sibling, oldComputed);
      newComputed = nodeHash(sibling, newComputed);
    } else {
      newComputed = nodeHash(newComputed, sibling);
    }
    place = climb(place);
  }
  checkTop(place);
  checkSame(oldComputed, walk.oldRoot, 'consistency proof does not lead to the old root');
  checkSame(newComputed, walk.newRoot, 'consistency proof does not lead to the new root');
}

/** A node on the way up and the last node of its level: `fn` and `sn` of RFC 9162 2.1.3.2. */
type Place = { node: number; last: number };

/** Whether the next hash of the proof stands on the left; a last node without sibling rises until it has one. */
function isRightChild({ node, last }: Place): boolean {
  if (last === 0) throw new Refusal('LEDGER_INVALID', 'proof is longer than the tree is high');
  return isOdd(node) || node === last;
}

/** Past the sibling just joined. No bitwise operators: they would cut the size to 32 bits. */
function climb(place: Place): Place {
  return above(isRightChild(place) ? riseWhileLeft(place) : place);
}

function riseWhileLeft(place: Place): Place {
  let risen = place;
  while (!isOdd(risen.node) && risen.node !== 0) risen = above(risen);
  return risen;
}

function above({ node, last }: Place): Place {
  return { node: Math.floor(node / 2), last: Math.floor(last / 2) };
}

/** The largest perfect subtree that ends where the old tree ends (RFC 9162 2.1.4.2 steps 3 and 4). */
function firstPlace(oldSize: number, newSize: number): Place {
  let place: Place = { node: oldSize - 1, last: newSize - 1 };
  while (isOdd(place.node)) place = above(place);
  return place;
}

function checkTop({ last }: Place): void {
  if (last !== 0) throw new Refusal('LEDGER_INVALID', 'proof is shorter than the tree is high');
}

/** Leaves from `from` up to, not including, `to`: one subtree. */
type Span = { from: number; to: number };

function inclusionSpans(index: number, { from, to }: Span): Span[] {
  if (to - from === 1) return [];
  const middle = middleOf({ from, to });
  return index < middle
    ? [...inclusionSpans(index, { from, to: middle }), { from: middle, to }]
    : [...inclusionSpans(index, { from: middle, to }), { from, to: middle }];
}

/** SUBPROOF of RFC 6962 2.1.2; its flag `b` is true exactly for subtrees that begin at the first leaf. */
function consistencySpans(oldSize: number, { from, to }: Span): Span[] {
  if (oldSize === to) return from === 0 ? [] : [{ from, to }];
  const middle = middleOf({ from, to });
  return oldSize <= middle
    ? [...consistencySpans(oldSize, { from, to: middle }), { from: middle, to }]
    : [...consistencySpans(oldSize, { from: middle, to }), { from, to: middle }];
}

/** The left part of a tree holds the largest power of two that is smaller than its size (RFC 6962 2.1). */
function middleOf({ from, to }: Span): number {
  let left = 1;
  while (left * 2 < to - from) left *= 2;
  return from + left;
}

function rootsOf(spans: readonly Span[], leafHashes: readonly Hash[]): Hash[] {
  return spans.map(({ from, to }) => rootOf(leafHashes.slice(from, to)));
}

function checkSizes(oldSize: number, newSize: number): void {
  checkWhole(oldSize, 'old size');
  checkWhole(newSize, 'new size');
  if (oldSize === 0) throw new Refusal('LEDGER_INVALID', 'expected an old tree with leaves, got size 0');
  if (oldSize > newSize) {
    throw new Refusal(
      'LEDGER_INVALID',
      `expected a tree that grows, got ${oldSize} leaves and then ${newSize}`,
    );
  }
}

function checkWhole(value: number, what: string): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new Refusal('LEDGER_INVALID', `expected a whole number as ${what}, got ${value}`);
  }
}

function checkSame(computed: Hash, expected: Hash, message: string): void {
  if (Buffer.compare(computed, expected) !== 0) throw new Refusal('LEDGER_INVALID', message);
}

function isPowerOfTwo(size: number): boolean {
  let odd = size;
  while (!isOdd(odd)) odd /= 2;
  return odd === 1;
}

function isOdd(value: number): boolean {
  return value % 2 === 1;
}
