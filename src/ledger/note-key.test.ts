import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openCheckpoint, signCheckpoint } from './checkpoint.ts';
import { emptyRoot } from './merkle.ts';
import { parseVerifierKey } from './note.ts';
import { ensureNoteKey, loadNoteKey } from './note-key.ts';

let directory: string;
beforeAll(async () => {
  directory = join(await mkdtemp(join(tmpdir(), 'firebreak-')), 'ledger');
});
afterAll(async () => await rm(join(directory, '..'), { recursive: true, force: true }));

const file = () => join(directory, 'note.key');
const invalid = { code: 'CONFIG_INVALID' };

test('a note key is made once, for its owner alone, and signs what its verifier key opens', async () => {
  const verifierKey = await ensureNoteKey(directory, 'firebreak.test/log');
  expect(await ensureNoteKey(directory, 'firebreak.test/log')).toBe(verifierKey);
  expect((await stat(file())).mode & 0o777).toBe(0o600);
  const loaded = await loadNoteKey(file());
  expect(loaded.verifierKey).toBe(verifierKey);
  const note = signCheckpoint({ size: 0, root: emptyRoot() }, loaded.signer);
  expect(openCheckpoint(note, parseVerifierKey(verifierKey))).toMatchObject({ origin: 'firebreak.test/log' });
});

test('a key of another log is refused', async () => {
  await expect(ensureNoteKey(directory, 'firebreak.test/other')).rejects.toMatchObject(invalid);
});

test('a missing, a cut and a changed key file are refused', async () => {
  const text = await readFile(file(), 'utf8');
  await expect(loadNoteKey(join(directory, 'none'))).rejects.toMatchObject(invalid);
  for (const wrong of ['', text.slice(0, -5), text.replace('firebreak.test/log', 'firebreak.test/LOG')]) {
    await writeFile(join(directory, 'wrong.key'), wrong);
    await expect(loadNoteKey(join(directory, 'wrong.key'))).rejects.toThrow(/expected|key id/);
  }
});

test('the published signer key of the Go note package is read', async () => {
  // golang.org/x/mod/sumdb/note, package example.
  const key = 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz';
  await writeFile(join(directory, 'go.key'), key);
  expect((await loadNoteKey(join(directory, 'go.key'))).verifierKey).toBe(
    'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
  );
});
