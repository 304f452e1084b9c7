import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { temporalCli, toolPath } from '../../toolchain.mjs';
import { temporalCliPath } from './temporal-cli.ts';

let home: string;
let fetched: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'firebreak-'));
  fetched = toolPath(temporalCli, { HOME: home });
  await mkdir(dirname(fetched), { recursive: true });
  await writeFile(fetched, '#!/bin/sh\n');
  await chmod(fetched, 0o755);
});

afterAll(async () => await rm(home, { recursive: true }));

test('the fetched CLI is found under the home, also when the cache variable is empty', () => {
  expect(fetched.startsWith(join(home, '.cache', 'firebreak'))).toBe(true);
  expect(temporalCliPath({ HOME: home })).toBe(fetched);
  expect(temporalCliPath({ HOME: home, XDG_CACHE_HOME: '', TEMPORAL_CLI: '' })).toBe(fetched);
});

test('the cache variable moves the CLI', () => {
  expect(temporalCliPath({ HOME: '/nowhere', XDG_CACHE_HOME: join(home, '.cache') })).toBe(fetched);
});

test('TEMPORAL_CLI goes first', () => {
  expect(temporalCliPath({ HOME: '/nowhere', TEMPORAL_CLI: fetched })).toBe(fetched);
});

test.each([
  ['no CLI was fetched', { HOME: '/nowhere' }, 'npm run setup'],
  ['TEMPORAL_CLI names no file', { TEMPORAL_CLI: '/nowhere/temporal' }, '/nowhere/temporal'],
  ['TEMPORAL_CLI is a bare name', { TEMPORAL_CLI: 'temporal' }, 'not temporal'],
  ['TEMPORAL_CLI is a folder', { TEMPORAL_CLI: '/' }, 'not /'],
])('it is refused with a way out when %s', (_case, environment, sentence) => {
  const refusal = { code: 'SETUP_FAILED', message: expect.stringContaining(sentence) };
  expect(() => temporalCliPath(environment)).toThrow(expect.objectContaining(refusal));
});
