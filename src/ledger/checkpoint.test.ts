import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import example from '../../test/vectors/c2sp/signed_note_example.json' with { type: 'json' };
import { formatCheckpoint, openCheckpoint, parseCheckpoint, signCheckpoint } from './checkpoint.ts';
import { emptyRoot, leafHash, rootOf } from './merkle.ts';
import { createNoteSigner, formatVerifierKey, parseNote, parseVerifierKey, signNote } from './note.ts';

const invalid = expect.objectContaining({ code: 'LEDGER_INVALID' });
const origin = 'firebreak.example/ledger';
const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const signer = createNoteSigner(origin, privateKey);
const log = parseVerifierKey(formatVerifierKey(origin, publicKey));
const root = rootOf([leafHash(Buffer.from('a')), leafHash(Buffer.from('b'))]);
const rootText = Buffer.from(root).toString('base64');

describe('signed', () => {
  test('a checkpoint opens with the key of its log', () => {
    expect(openCheckpoint(signCheckpoint({ size: 2, root }, signer), log)).toEqual({ origin, size: 2, root });
  });

  test('a checkpoint of another origin is refused, though the key signed it', () => {
    const note = signNote(formatCheckpoint({ origin: 'firebreak.example/other', size: 2, root }), [signer]);
    expect(() => openCheckpoint(note, log)).toThrow(invalid);
  });

  test('a checkpoint by another key of the same name is refused', () => {
    const stranger = createNoteSigner(origin, generateKeyPairSync('ed25519').privateKey);
    expect(() => openCheckpoint(signCheckpoint({ size: 2, root }, stranger), log)).toThrow(invalid);
  });

  test.each([
    ['a broken size', { size: 0.5, root }],
    ['a negative size', { size: -1, root }],
    ['a size beyond what a number holds exactly', { size: 2 ** 53, root }],
    ['a short root', { size: 2, root: root.subarray(1) }],
    ['leaves of the empty tree', { size: 0, root }],
  ])('a checkpoint with %s is not signed', (_, tree) => {
    expect(() => signCheckpoint(tree, signer)).toThrow(invalid);
  });
});

describe('form', () => {
  test('the example of the specification is read and written again', () => {
    const { text } = parseNote(example.checkpoint_example);
    const checkpoint = parseCheckpoint(text);
    expect(checkpoint).toMatchObject({ origin: 'example.com/behind-the-sofa', size: 20_852_163 });
    expect(formatCheckpoint(checkpoint)).toBe(text);
  });

  test('the empty tree and the largest size are read', () => {
    const empty = Buffer.from(emptyRoot()).toString('base64');
    expect(parseCheckpoint(`${origin}\n0\n${empty}\n`).size).toBe(0);
    expect(parseCheckpoint(`${origin}\n9007199254740991\n${rootText}\n`).size).toBe(Number.MAX_SAFE_INTEGER);
  });

  test.each([
    ['nothing', ''],
    ['no origin', `\n2\n${rootText}\n`],
    ['no root', `${origin}\n2\n`],
    ['no last newline', `${origin}\n2\n${rootText}`],
    ['an extension line', `${origin}\n2\n${rootText}\nmore\n`],
    ['an empty line at the end', `${origin}\n2\n${rootText}\n\n`],
    ['a leading zero', `${origin}\n02\n${rootText}\n`],
    ['a sign', `${origin}\n+2\n${rootText}\n`],
    ['a space', `${origin}\n2 \n${rootText}\n`],
    ['an exponent', `${origin}\n2e0\n${rootText}\n`],
    ['other digits', `${origin}\n٢\n${rootText}\n`],
    ['a size beyond what a number holds exactly', `${origin}\n9007199254740992\n${rootText}\n`],
    ['a root of 31 bytes', `${origin}\n2\n${Buffer.alloc(31).toString('base64')}\n`],
    ['a root without padding', `${origin}\n2\n${rootText.slice(0, -1)}\n`],
    ['another root at size 0', `${origin}\n0\n${rootText}\n`],
  ])('a checkpoint with %s is refused', (_, text) => {
    expect(() => parseCheckpoint(text)).toThrow(invalid);
  });
});
