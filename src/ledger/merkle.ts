import { hash } from 'node:crypto';
import { z } from 'zod';
import { Refusal } from '../refusal.ts';
import { parseBase64, toBase64 } from './base64.ts';

/**
 * The ledger's Merkle tree (RFC 6962 2.1): its hashes, its root, and the compact range by which it grows.
 * It promises that a leaf is never taken for a node; it refuses hashes that are not 32 bytes.
 */
export type Hash = Uint8Array;

const HASH_BYTES = 32;

/** No tree of a safe integer's size is higher: neither a proof nor a compact range holds more hashes. */
export const TREE_LEVELS_MAX = 53;

const LEAF_PREFIX = Uint8Array.of(0);
const NODE_PREFIX = Uint8Array.of(1);

/** SHA-256(0x00 || entry), RFC 6962 2.1: the prefix keeps an entry from being shown as an inner node. */
export function leafHash(entry: Uint8Array): Hash {
  return sha256([LEAF_PREFIX, entry]);
}

/** SHA-256(0x01 || left || right), RFC 6962 2.1. */
export function nodeHash(left: Hash, right: Hash): Hash {
  return sha256([NODE_PREFIX, left, right]);
}

/** SHA-256 of nothing, the root of the tree without leaves. */
export function emptyRoot(): Hash {
  return sha256([]);
}

/** MTH(D[n]) of RFC 6962 2.1, from the hashes of the leaves. */
export function rootOf(leafHashes: readonly Hash[]): Hash {
  return rootOfRange(appendLeaves(emptyRange, leafHashes));
}

/**
 * All that an append needs of a tree: the roots of its perfect subtrees, largest first, one for each 1 in the binary
 * form of its size. It is a value: when the transaction around an append fails, the range before it still holds.
 */
export type CompactRange = { readonly size: number; readonly hashes: readonly Hash[] };

export const emptyRange: CompactRange = { size: 0, hashes: [] };

export function appendLeaves(range: CompactRange, leafHashes: Iterable<Hash>): CompactRange {
  const hashes = [...range.hashes];
  let { size } = range;
  for (const leaf of leafHashes) {
    checkHash(leaf);
    hashes.push(leaf);
    size += 1;
    closeSubtrees(hashes, size);
  }
  return { size, hashes };
}

export function rootOfRange(range: CompactRange): Hash {
  return range.hashes.length === 0 ? emptyRoot() : joinFromRight(range.hashes);
}

const rangeSchema = z.strictObject({
  size: z.int().min(0),
  hashes: z.array(z.string()).max(TREE_LEVELS_MAX),
});
export type StoredRange = z.infer<typeof rangeSchema>;

/** The range as JSON data, for the row that the sequencer keeps. */
export function storeRange(range: CompactRange): StoredRange {
  return { size: range.size, hashes: range.hashes.map(toBase64) };
}

/** A stored row is parsed like any other input. Compare `rootOfRange` with a signed checkpoint before you trust it. */
export function restoreRange(stored: unknown): CompactRange {
  const parsed = rangeSchema.safeParse(stored);
  if (!parsed.success) {
    throw new Refusal('LEDGER_INVALID', 'expected a compact range', { cause: parsed.error });
  }
  const { size, hashes } = parsed.data;
  if (hashes.length !== countOnes(size)) {
    throw new Refusal(
      'LEDGER_INVALID',
      `expected ${countOnes(size)} hashes for size ${size}, got ${hashes.length}`,
    );
  }
  return { size, hashes: hashes.map(parseHash) };
}

/** A leaf that makes the size even completes a pair, and a larger one for each further zero at the size's end. */
function closeSubtrees(hashes: Hash[], size: number): void {
  for (let pairs = size; pairs % 2 === 0; pairs /= 2) hashes.push(joinFromRight(hashes.splice(-2)));
}

function joinFromRight(hashes: readonly Hash[]): Hash {
  return hashes.reduceRight((right, left) => nodeHash(left, right));
}

/** Short and long hashes would move the border between the two halves of a node, or match as nothing with nothing. */
export function checkHash(bytes: Hash): void {
  if (bytes.length !== HASH_BYTES) {
    throw new Refusal('LEDGER_INVALID', `expected a hash of ${HASH_BYTES} bytes, got ${bytes.length}`);
  }
}

/** A hash as the C2SP formats write it: 44 characters of base64. */
export function parseHash(text: string): Hash {
  const bytes = parseBase64(text, 'a hash');
  checkHash(bytes);
  return bytes;
}

function countOnes(size: number): number {
  return size.toString(2).replaceAll('0', '').length;
}

function sha256(parts: readonly Uint8Array[]): Hash {
  return hash('sha256', Buffer.concat(parts), 'buffer');
}
