import { generateKeyPairSync } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import example from '../../test/vectors/c2sp/signed_note_example.json' with { type: 'json' };
import {
  createNoteSigner,
  formatVerifierKey,
  NOTE_BYTES_MAX,
  type NoteSigner,
  parseNote,
  parseVerifierKey,
  SIGNATURES_MAX,
  signNote,
  verifyNote,
} from './note.ts';

const invalid = expect.objectContaining({ code: 'LEDGER_INVALID' });

function createKey(name: string) {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const vkey = formatVerifierKey(name, publicKey);
  return {
    privateKey,
    publicKey,
    signer: createNoteSigner(name, privateKey),
    vkey,
    verifier: parseVerifierKey(vkey),
  };
}

const log = createKey('example.com/log');
const other = createKey('example.com/other');
const text = 'first line\n\nlast line\n';
const note = signNote(text, [log.signer]);
const [, , , , logLine = ''] = note.split('\n');
const [, , , , otherLine = ''] = signNote(text, [other.signer]).split('\n');

describe('public example', () => {
  const verifier = parseVerifierKey(example.vkey);

  test('the note verifies with its key', () => {
    expect(verifyNote(example.note, [verifier]).text).toBe('This is an example message.\n');
    expect(verifyNote(Buffer.from(example.note), [verifier]).verifiedBy).toEqual([verifier]);
  });

  test('the note with any flipped bit is refused', () => {
    const bytes = Buffer.from(example.note);
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit % 8)), bit >> 3);
      expect(() => verifyNote(changed, [verifier]), `bit ${bit}`).toThrow(invalid);
    }
  });
});

describe('signing and verifying', () => {
  test('what is signed verifies, line by line, for any text', () => {
    const line = fc.string({ unit: 'grapheme' }).filter((value) => !/\p{Cc}/u.test(value));
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 6 }), (lines) => {
        const any = `${lines.join('\n')}\n`;
        const verified = verifyNote(signNote(any, [log.signer, other.signer]), [
          log.verifier,
          other.verifier,
        ]);
        expect(verified).toEqual({ text: any, verifiedBy: [log.verifier, other.verifier] });
      }),
    );
  });

  test('a signature by an unknown key is ignored beside a known one, and alone refused', () => {
    const both = signNote(text, [other.signer, log.signer]);
    expect(verifyNote(both, [log.verifier]).verifiedBy).toEqual([log.verifier]);
    expect(() => verifyNote(signNote(text, [other.signer]), [log.verifier])).toThrow(invalid);
    expect(() => verifyNote(note, [])).toThrow(invalid);
  });

  test('a key is known by name and key id, not by one of them', () => {
    const sameName = createKey(log.signer.name);
    expect(() => verifyNote(signNote(text, [sameName.signer]), [log.verifier])).toThrow(invalid);
    const sameId: NoteSigner = { ...other.signer, keyId: log.signer.keyId };
    expect(verifyNote(signNote(text, [sameId, log.signer]), [log.verifier]).text).toBe(text);
  });

  test('a failing signature of a known key spoils a note that another known key signed', () => {
    const forger: NoteSigner = { ...other.signer, sign: () => new Uint8Array(64) };
    const spoiled = signNote(text, [log.signer, forger]);
    expect(verifyNote(spoiled, [log.verifier]).text).toBe(text);
    expect(() => verifyNote(spoiled, [log.verifier, other.verifier])).toThrow(invalid);
  });

  test('the second of two signatures by one key counts too', () => {
    expect(verifyNote(signNote(text, [log.signer, log.signer]), [log.verifier]).verifiedBy).toHaveLength(1);
    const forger: NoteSigner = { ...log.signer, sign: () => new Uint8Array(64) };
    expect(() => verifyNote(signNote(text, [log.signer, forger]), [log.verifier])).toThrow(invalid);
  });

  test('a signature over another text is refused', () => {
    expect(() => verifyNote(`other\n\n${logLine}\n`, [log.verifier])).toThrow(invalid);
  });

  test('two known keys of one identity are refused', () => {
    expect(() => verifyNote(note, [log.verifier, { ...log.verifier }])).toThrow(invalid);
  });

  test.each([
    ['without last newline', 'open'],
    ['that hides a signature in an open last line', `text\n\n${otherLine}`],
    ['with a carriage return', 'a\r\n'],
    ['with a tab', 'a\tb\n'],
    ['with a zero', 'a\0\n'],
    ['with a lone surrogate', 'a\ud800\n'],
    ['that is too long', `${'a'.repeat(NOTE_BYTES_MAX)}\n`],
  ])('a text %s is not signed', (_, bad) => {
    expect(() => signNote(bad, [log.signer])).toThrow(invalid);
  });

  test('a text with an accent and a next-line character is signed', () => {
    expect(verifyNote(signNote('é \u0085\n', [log.signer]), [log.verifier]).text).toBe('é \u0085\n');
  });

  test('a note without signer is not made', () => {
    expect(() => signNote(text, [])).toThrow(invalid);
  });
});

describe('form', () => {
  test('the text ends at the last empty line', () => {
    expect(parseNote(note)).toMatchObject({
      text,
      signatures: [{ name: log.signer.name, keyId: log.signer.keyId }],
    });
  });

  const notes = (count: number) => `${text}\n${`${logLine}\n`.repeat(count)}`;

  test('a note with the most signatures is read, one more is refused', () => {
    expect(SIGNATURES_MAX).toBeGreaterThanOrEqual(16);
    expect(parseNote(notes(SIGNATURES_MAX)).signatures).toHaveLength(SIGNATURES_MAX);
    expect(() => parseNote(notes(SIGNATURES_MAX + 1))).toThrow(invalid);
  });

  test.each([
    ['nothing', ''],
    ['no empty line', `text\n${logLine}\n`],
    ['no signature', 'text\n\n'],
    ['no last newline', `text\n\n${logLine}`],
    ['an empty line after the signatures', `text\n\n${logLine}\n\n`],
    ['a carriage return', `text\n\n${logLine}\r\n`],
    ['a hyphen for the em dash', `text\n\n${logLine.replace('\u2014', '-')}\n`],
    ['two spaces', `text\n\n${logLine.replace(' ', '  ')}\n`],
    ['a wide space in the name', `text\n\n${logLine.replace('example', 'exam\u3000ple')}\n`],
    ['a plus in the name', `text\n\n${logLine.replace('example', 'exam+ple')}\n`],
    ['no name', 'text\n\n\u2014  AAAAAAA=\n'],
    ['no signature after the key id', 'text\n\n\u2014 name AAAAAA==\n'],
    ['base64url', 'text\n\n\u2014 name AAAAAA-_\n'],
    ['base64 without padding', 'text\n\n\u2014 name AAAAAAA\n'],
    ['base64 with unused bits', 'text\n\n\u2014 name AAAAAAB=\n'],
    ['something after the signature', `text\n\n${logLine} more\n`],
  ])('a note with %s is refused', (_, bad) => {
    expect(() => parseNote(bad)).toThrow(invalid);
  });

  test('bytes that are not UTF-8 are refused', () => {
    expect(() => parseNote(Buffer.concat([Buffer.of(0xff), Buffer.from(note)]))).toThrow(invalid);
  });

  test('any input is read or refused, never a crash', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), fc.string({ unit: 'binary' })), fc.boolean(), (input, tail) => {
        const whole = typeof input === 'string' && tail ? `${input}\n\n\u2014 ${input}` : input;
        expect(() => verifyNote(whole, [log.verifier])).toThrow(invalid);
      }),
    );
  });
});

describe('verifier keys', () => {
  const [, keyId = '', key = ''] = /\+([0-9a-f]{8})\+(.+)$/.exec(example.vkey) ?? [];

  test('a verifier key names its key as the signer does', () => {
    expect(log.verifier).toMatchObject({ name: log.signer.name, keyId: log.signer.keyId });
  });

  test.each([
    ['nothing', ''],
    ['another name', `example.com/bar+${keyId}+${key}`],
    ['another key id', `example.com/foo+00000000+${key}`],
    ['a key id in capitals', `example.com/foo+${keyId.toUpperCase()}+${key}`],
    ['no name', `+${keyId}+${key}`],
    ['a space in the name', `example.com /foo+${keyId}+${key}`],
    ['the key of another type', `example.com/foo+${keyId}+B${key.slice(1)}`],
    ['a short key', `example.com/foo+${keyId}+AekyeRrm`],
    ['a last newline', `${example.vkey}\n`],
  ])('a verifier key with %s is refused', (_, bad) => {
    expect(() => parseVerifierKey(bad)).toThrow(invalid);
  });

  test('a key of another algorithm neither signs nor verifies', () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    expect(() => formatVerifierKey('name', publicKey)).toThrow(invalid);
    expect(() => createNoteSigner('name', privateKey)).toThrow(invalid);
  });

  test.each(['', 'a b', 'a+b', 'a\u00a0b', 'a\u0085b'])('the key name %j is refused', (name) => {
    expect(() => createNoteSigner(name, log.privateKey)).toThrow(invalid);
    expect(() => formatVerifierKey(name, log.publicKey)).toThrow(invalid);
  });
});
