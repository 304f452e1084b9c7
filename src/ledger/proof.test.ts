import { generateKeyPairSync } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { signCheckpoint } from './checkpoint.ts';
import { leafHash, rootOf } from './merkle.ts';
import { createNoteSigner, formatVerifierKey, parseVerifierKey } from './note.ts';
import {
  buildProof,
  EXTRA_BYTES_MAX,
  formatProof,
  PROOF_CHARACTERS_MAX,
  parseProof,
  verifyProof,
} from './proof.ts';

const invalid = expect.objectContaining({ code: 'LEDGER_INVALID' });
const name = 'firebreak.example/ledger';
const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const signer = createNoteSigner(name, privateKey);
const log = parseVerifierKey(formatVerifierKey(name, publicKey));

const entryOf = (index: number) => Buffer.from(`entry ${index}`);
const leaves = Array.from({ length: 40 }, (_, index) => leafHash(entryOf(index)));
const checkpointOf = (size: number) => signCheckpoint({ size, root: rootOf(leaves.slice(0, size)) }, signer);
const checkpoint = checkpointOf(11);
const file = formatProof(buildProof(6, leaves, checkpoint));

describe('verifying', () => {
  test('every entry below every checkpoint is proved, also when the log has grown since', () => {
    for (let size = 1; size <= leaves.length; size += 1) {
      const note = checkpointOf(size);
      for (let index = 0; index < size; index += 3) {
        const proof = formatProof(buildProof(index, leaves, note));
        expect(verifyProof(proof, entryOf(index), log)).toMatchObject({ index, checkpoint: { size } });
        expect(() => verifyProof(proof, entryOf(index + 1), log)).toThrow(invalid);
      }
    }
  });

  test('a file with any flipped bit is refused', () => {
    const bytes = Buffer.from(file);
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit % 8)), bit >> 3);
      expect(() => verifyProof(changed.toString(), entryOf(6), log), `bit ${bit}`).toThrow(invalid);
    }
  });

  test('an inner node does not pass for an entry', () => {
    const { hashes } = parseProof(file);
    const [sibling = leafHash(entryOf(0)), ...rest] = hashes;
    const node = Buffer.concat([leafHash(entryOf(6)), sibling]);
    const forged = formatProof({ index: 3, hashes: rest, checkpoint });
    expect(() => verifyProof(forged, node, log)).toThrow(invalid);
  });

  test('the proof of another log is refused', () => {
    const stranger = parseVerifierKey(formatVerifierKey(name, generateKeyPairSync('ed25519').publicKey));
    expect(verifyProof(file, entryOf(6), log).index).toBe(6);
    expect(() => verifyProof(file, entryOf(6), stranger)).toThrow(invalid);
  });
});

describe('building', () => {
  test('an entry after the checkpoint has no proof below it', () => {
    expect(buildProof(10, leaves, checkpoint).index).toBe(10);
    expect(() => buildProof(11, leaves, checkpoint)).toThrow(invalid);
    expect(() => buildProof(-1, leaves, checkpoint)).toThrow(invalid);
  });

  test('fewer leaves than the checkpoint counts are refused', () => {
    expect(() => buildProof(0, leaves.slice(0, 10), checkpoint)).toThrow('expected the leaves of size 11');
  });

  test('leaves that do not fit the checkpoint are refused', () => {
    expect(() => buildProof(0, leaves.toReversed(), checkpoint)).toThrow(invalid);
  });
});

describe('form', () => {
  test('what is written is read again, with extra data and without', () => {
    fc.assert(
      fc.property(fc.option(fc.uint8Array(), { nil: undefined }), fc.nat({ max: 10 }), (extra, index) => {
        const proof = { ...buildProof(index, leaves, checkpoint), ...(extra === undefined ? {} : { extra }) };
        const text = formatProof(proof);
        expect(formatProof(parseProof(text))).toBe(text);
        expect(parseProof(text).extra?.length).toBe(extra?.length);
        expect(verifyProof(text, entryOf(index), log).index).toBe(index);
      }),
    );
  });

  const [first = '', index = '', ...rest] = file.split('\n');
  const lines = (...changed: string[]) => [...changed, ...rest].join('\n');

  test('the lines stand as the specification shows them', () => {
    expect(first).toBe('c2sp.org/tlog-proof@v1');
    expect(index).toBe('index 6');
    expect(lines(first, index)).toBe(file);
    expect(file.endsWith(`\n\n${checkpoint}`)).toBe(true);
  });

  test('a file of too many characters is refused before it is looked at', () => {
    expect(() => parseProof(`${file}${'a'.repeat(PROOF_CHARACTERS_MAX)}`)).toThrow('characters');
  });

  test.each([
    ['nothing', ''],
    ['another version', lines('c2sp.org/tlog-proof@v2', index)],
    ['no index', lines(first)],
    ['an index with a leading zero', lines(first, 'index 06')],
    ['a negative index', lines(first, 'index -6')],
    ['an empty index', lines(first, 'index ')],
    ['extra data after the index', lines(first, index, 'extra AA==')],
    ['extra data twice', lines(first, 'extra AA==', 'extra AA==', index)],
    ['extra data in another spelling', lines(first, 'extra AB==', index)],
    [
      'too much extra data',
      lines(first, `extra ${Buffer.alloc(EXTRA_BYTES_MAX + 1).toString('base64')}`, index),
    ],
    ['a short hash', lines(first, index, 'AAAA')],
    ['too many hashes', lines(first, index, ...Array.from({ length: 54 }, () => rest[0] ?? ''))],
    ['no empty line', file.replace('\n\n', '\n')],
    ['no checkpoint', [first, index, '', ''].join('\n')],
    ['a checkpoint without signature', file.slice(0, file.indexOf('\n\u2014'))],
    ['carriage returns', file.replaceAll('\n', '\r\n')],
    ['something after it', `${file}more\n`],
  ])('a file with %s is refused', (_, bad) => {
    expect(() => parseProof(bad)).toThrow(invalid);
  });
});
