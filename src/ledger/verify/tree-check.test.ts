import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { signCheckpoint } from '../checkpoint.ts';
import { leafHash, rootOf } from '../merkle.ts';
import { createNoteSigner, formatVerifierKey, parseVerifierKey } from '../note.ts';
import { TreeCheck } from './tree-check.ts';

describe('the streaming tree', () => {
  const { privateKey } = generateKeyPairSync('ed25519');
  const signer = createNoteSigner('log', privateKey);
  const verifier = parseVerifierKey(formatVerifierKey('log', createPublicKey(privateKey)));

  /** @param noteAhead by how many leaves notes exaggerate. */
  async function walk(
    entries: readonly string[],
    signed: readonly string[],
    sizes: readonly number[],
    noteAhead = 0,
  ) {
    const hashes = signed.map((entry) => leafHash(Buffer.from(entry)));
    async function* checkpoints() {
      for (const size of sizes) {
        const root = rootOf(hashes.slice(0, size));
        yield { size, root, note: signCheckpoint({ size: size + noteAhead, root }, signer) };
      }
    }
    const tree = new TreeCheck(checkpoints(), verifier);
    let breach = await tree.start();
    for (const [leafIndex, jws] of entries.entries()) breach ??= await tree.append({ leafIndex, jws });
    return { breach: breach ?? tree.end(), tree: tree.tree };
  }

  const logs = fc.array(fc.string({ maxLength: 8 }), { minLength: 1, maxLength: 40 }).chain((entries) =>
    fc.record({
      entries: fc.constant(entries),
      sizes: fc
        .uniqueArray(fc.nat(entries.length - 1), { maxLength: 10 })
        .map((sizes) => [...sizes.sort((a, b) => a - b), entries.length]),
      at: fc.nat(entries.length - 1),
    }),
  );

  test('has the root of the whole at the end, however many checkpoints stand between', async () => {
    await fc.assert(
      fc.asyncProperty(logs, async ({ entries, sizes }) => {
        const { breach, tree } = await walk(entries, entries, sizes);
        expect(breach).toBeNull();
        expect(Buffer.from(tree.root)).toEqual(
          Buffer.from(rootOf(entries.map((entry) => leafHash(Buffer.from(entry))))),
        );
      }),
    );
  });

  test('finds any one changed leaf, between the checkpoints around it', async () => {
    await fc.assert(
      fc.asyncProperty(logs, async ({ entries, sizes, at }) => {
        const changed = entries.with(at, `${entries[at]}!`);
        const { breach } = await walk(changed, entries, sizes);
        const from = Math.max(0, ...sizes.filter((size) => size <= at));
        expect(breach).toMatchObject({ invariant: 'S9', leafIndex: from });
      }),
    );
  });

  test('finds a checkpoint that says another size than its tree has, though its signature holds', async () => {
    const entries = ['a', 'b', 'c'];
    expect((await walk(entries, entries, [3])).breach).toBeNull();
    expect((await walk(entries, entries, [3], 1)).breach).toMatchObject({ invariant: 'S9', leafIndex: 2 });
  });

  test('finds a checkpoint that stands twice', async () => {
    const entries = ['a', 'b', 'c'];
    expect((await walk(entries, entries, [2, 3])).breach).toBeNull();
    expect((await walk(entries, entries, [2, 2, 3])).breach).toMatchObject({
      sentence: 'checkpoint of size 2 stands out of order',
    });
  });
});
