import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { bootstrap } from '../dev/bootstrap.ts';
import { type DataDirectory, dataDirectory } from '../dev/data-directory.ts';
import { lockDataDirectory } from '../dev/data-lock.ts';
import { checkNode, checkTemporalVersion } from '../dev/doctor/machine.ts';
import { findFreePort, HOST } from '../dev/ports.ts';
import { prepareRunSettings } from '../dev/run-settings.ts';

const launcher = fileURLToPath(new URL('../../bin/firebreak.mjs', import.meta.url));
const reportSchema = z.object({
  healthy: z.boolean(),
  checks: z.array(
    z.object({ check: z.string(), ok: z.boolean(), found: z.string(), todo: z.string().optional() }),
  ),
});

/** A data directory as the first start makes it, without its databases; each test gets a copy. */
let made: string;
let port: number;
let data: DataDirectory;
beforeAll(async () => {
  made = await mkdtemp(join(tmpdir(), 'firebreak-'));
  port = await findFreePort(new Set());
  const { settings } = await prepareRunSettings(dataDirectory(made), { port });
  await bootstrap(dataDirectory(made), settings, Date.now);
});
afterAll(async () => await rm(made, { recursive: true, force: true }));
beforeEach(async () => {
  const copy = await mkdtemp(join(tmpdir(), 'firebreak-'));
  await cp(made, copy, { recursive: true });
  data = dataDirectory(copy);
  return async () => await rm(copy, { recursive: true, force: true });
});

async function doctor(directory = data.root, environment: NodeJS.ProcessEnv = {}) {
  const command = [launcher, 'doctor', '--json', '--data', directory];
  const env = { ...process.env, ...environment };
  const { promise, resolve } = Promise.withResolvers<{ code: number; stdout: string }>();
  execFile(process.execPath, command, { env }, (error, stdout) => {
    resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout });
  });
  const { code, stdout } = await promise;
  const { healthy, checks } = reportSchema.parse(JSON.parse(stdout));
  expect(code).toBe(healthy ? 0 : 1);
  return { code, faults: checks.filter(({ ok }) => !ok), checks };
}

test('a directory that was just made is in order', async () => {
  const { code, checks } = await doctor();
  expect(checks.filter(({ ok }) => !ok)).toEqual([]);
  expect(code).toBe(0);
  expect(checks.map(({ check }) => check)).toEqual([
    'node',
    'temporal',
    'postgresql',
    'data directory',
    'settings',
    'secrets',
    'trust',
    'port',
  ]);
});

test('a directory that is not made yet is in order, and stays unmade', async () => {
  const { code, checks } = await doctor(join(data.root, 'not', 'there'));
  expect(code).toBe(0);
  expect(checks.find(({ check }) => check === 'data directory')?.found).toMatch(/^not made yet/);
  expect((await doctor(join(data.root, 'not', 'there'))).code).toBe(0);
});

describe('each fault is named with its way out', () => {
  test('a key that others may read', async () => {
    await chmod(join(data.keys('gate'), 'receipt.jwk'), 0o644);
    const { faults } = await doctor();
    expect(faults[0]).toMatchObject({
      check: 'secrets',
      found: expect.stringContaining('receipt.jwk'),
      todo: expect.stringMatching(/^chmod 600 .*receipt\.jwk/),
    });
  });

  test('a key that took another one’s place', async () => {
    await cp(join(data.keys('broker'), 'call.jwk'), join(data.keys('gate'), 'call.jwk'));
    const { faults } = await doctor();
    expect(faults).toMatchObject([{ check: 'trust', found: expect.stringContaining('call key of gate') }]);
  });

  test('a manifest of other roots than the pinned ones', async () => {
    await writeFile(data.pin, `${'A'.repeat(43)}\n`);
    const { faults } = await doctor();
    expect(faults).toMatchObject([{ check: 'trust', found: expect.stringContaining('other roots') }]);
  });

  test('settings that cannot be read', async () => {
    await writeFile(data.settings, 'nothing = true\n');
    const { faults } = await doctor();
    expect(faults).toMatchObject([
      { check: 'settings', found: expect.stringContaining('nothing'), todo: `edit ${data.settings}` },
    ]);
  });

  test('a port that is in use', async () => {
    const other = createServer().listen({ host: HOST, port });
    await once(other, 'listening');
    const { faults } = await doctor();
    other.close();
    expect(faults).toMatchObject([{ check: 'port', found: `${port} on ${HOST} is in use` }]);
  });

  test('a directory that somebody uses and that does not answer', async () => {
    const lock = await lockDataDirectory(data.root);
    const { faults, checks } = await doctor();
    await lock.release();
    expect(checks.find(({ check }) => check === 'data directory')?.found).toContain(`pid ${process.pid}`);
    expect(faults).toMatchObject([{ check: 'deployment', found: expect.stringContaining('ready.json') }]);
  });

  test('no Temporal CLI', async () => {
    const { faults } = await doctor(data.root, { TEMPORAL_CLI: '/nowhere/temporal' });
    expect(faults).toMatchObject([
      { check: 'temporal', found: expect.stringContaining('/nowhere/temporal') },
    ]);
  });

  test('a file where the directory should be', async () => {
    await mkdir(join(data.root, 'other'));
    await writeFile(join(data.root, 'other', 'file'), '');
    const { faults } = await doctor(join(data.root, 'other', 'file', 'data'));
    expect(faults.map(({ check }) => check)).toContain('data directory');
  });
});

test('an old Node and an old Temporal CLI are refused, new ones are not', () => {
  expect(checkNode('v24.0.0')).toBe('v24.0.0');
  expect(() => checkNode('v22.9.0')).toThrow(/older than 24/);
  const said = (cli: string, server: string) => `temporal version ${cli} (Server ${server}, UI 2.1.0)`;
  expect(checkTemporalVersion(said('1.10.0', '1.32.0'), '/t')).toContain('1.10.0');
  expect(() => checkTemporalVersion(said('1.5.1', '1.29.1'), '/t')).toThrow(/oldest that works/);
  expect(() => checkTemporalVersion('something else', '/t')).toThrow(/did not say/);
});
