import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeProtectedHeader } from 'jose';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { loadActionManifests } from '../action/manifest.ts';
import { loadWorkloadIssuers } from '../broker/workload-token.ts';
import { workloadKeySchema } from '../cli/open-session.ts';
import { domains } from '../domains.ts';
import {
  ensureKeys,
  loadSigningKey,
  type PublicKey,
  publicJwkSchema,
  publicKeySchema,
} from '../identity/keys.ts';
import { loadManifest, pinOf, signManifest } from '../identity/manifest.ts';
import { ensureNoteKey } from '../ledger/note-key.ts';
import { bootstrap } from './bootstrap.ts';
import { type DataDirectory, dataDirectory } from './data-directory.ts';
import { prepareRunSettings } from './run-settings.ts';
import { ensureSecrets } from './secrets.ts';

let data: DataDirectory;
beforeEach(async () => {
  data = dataDirectory(join(await mkdtemp(join(tmpdir(), 'firebreak-')), 'data'));
});
afterEach(async () => await rm(join(data.root, '..'), { recursive: true, force: true }));

async function run(actions?: string) {
  const { settings } = await prepareRunSettings(data, { port: 0, actions });
  await ensureSecrets(data.secrets);
  return { settings, ...(await bootstrap(data, settings, Date.now)) };
}

async function files(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name, parentPath }) => join(parentPath, name));
}

async function contents(): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const file of await files(data.root)) {
    if (file !== data.runSettings) found[file] = await readFile(file, 'utf8');
  }
  return found;
}

const fileSchema = z.strictObject({
  roots: z.strictObject({ threshold: z.int(), keys: z.array(publicJwkSchema) }),
  signatures: z.array(z.string()),
});
const contentSchema = z.strictObject({
  version: z.int(),
  keys: z.array(publicKeySchema),
  ledger: z.string(),
});

async function readManifest() {
  const { roots, signatures } = fileSchema.parse(JSON.parse(await readFile(data.keyManifest, 'utf8')));
  const [header = '', payload = '', signature = ''] = signatures[0]?.split('.') ?? [];
  const content = contentSchema.parse(JSON.parse(Buffer.from(payload, 'base64url').toString()));
  return { roots, header, signature, content };
}

/** Another content under the signature of the old one. */
async function tamper() {
  const { roots, header, signature, content } = await readManifest();
  const changed = Buffer.from(JSON.stringify({ ...content, version: 9 })).toString('base64url');
  await writeFile(
    data.keyManifest,
    JSON.stringify({ roots, signatures: [`${header}.${changed}.${signature}`] }),
  );
}

/** As the root would have signed it with other keys. */
async function signAgain(pin: string, change: (keys: PublicKey[]) => PublicKey[]) {
  const { roots, content } = await readManifest();
  expect(pinOf(roots)).toBe(pin);
  const key = await loadSigningKey('root', 'keys', data.keys('root'));
  const text = await signManifest({ ...content, keys: change(content.keys) }, { key, roots });
  await writeFile(data.keyManifest, text);
}

describe('a second start', () => {
  test('finds every file as the first one left it', async () => {
    const first = await run();
    const before = await contents();
    const second = await run();
    expect(second.pin).toBe(first.pin);
    expect(await contents()).toEqual(before);
  });

  test('makes what is missing and leaves the rest', async () => {
    await run();
    const before = await contents();
    const codec = join(data.keys('planner'), 'codec.key');
    await rm(codec);
    await rm(data.actionManifest);
    await run();
    const after = await contents();
    expect(after[codec]).toBe(before[codec]);
    expect(Object.keys(after)).toEqual(Object.keys(before));
    delete before[data.actionManifest];
    expect(after).toMatchObject(before);
  });
});

test('every secret is for its owner alone', async () => {
  await run();
  const secrets = [
    data.secrets,
    ...(await files(join(data.root, 'keys'))),
    ...(await files(join(data.root, 'agents'))),
  ];
  expect(secrets.length).toBeGreaterThan(40);
  for (const file of secrets) {
    expect({ file, mode: (await stat(file)).mode & 0o777 }).toEqual({ file, mode: 0o600 });
  }
  for (const domain of domains) expect((await stat(data.keys(domain))).mode & 0o777).toBe(0o700);
});

test('secrets that others may read are refused, and taken back once closed', async () => {
  await run();
  for (const file of [data.secrets, join(data.keys('gateway'), 'result.key')]) {
    await chmod(file, 0o640);
    await expect(run()).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await chmod(file, 0o600);
  }
  await expect(run()).resolves.toBeDefined();
});

describe('the key manifest', () => {
  test('names each domain’s keys under the pin', async () => {
    const { pin } = await run();
    const manifest = await loadManifest(data.keyManifest, pin);
    for (const domain of domains) {
      const { kid } = await loadSigningKey(domain, 'call', data.keys(domain));
      expect(manifest.find('call', kid)?.issuer).toBe(domain);
    }
    expect(manifest.ledger).toMatch(/^development\.firebreak\.local\/ledger\+/);
  });

  test('takes a key of a kind that it does not know yet, and keeps the others', async () => {
    const { pin } = await run();
    const receipt = await loadSigningKey('gate', 'receipt', data.keys('gate'));
    const call = await loadSigningKey('gate', 'call', data.keys('gate'));
    await signAgain(pin, (keys) => keys.filter(({ kid }) => kid !== receipt.kid));
    expect((await loadManifest(data.keyManifest, pin)).find('receipt', receipt.kid)).toBeUndefined();
    await run();
    const manifest = await loadManifest(data.keyManifest, pin);
    expect(manifest.find('receipt', receipt.kid)?.issuer).toBe('gate');
    expect(manifest.find('call', call.kid)?.issuer).toBe('gate');
  });

  test('refuses a key that took another one’s place', async () => {
    await run();
    await rm(join(data.keys('gate'), 'receipt.jwk'));
    await expect(run()).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/receipt key of gate/),
    });
  });

  test('refuses another ledger key', async () => {
    await run();
    await rm(join(data.keys('ledger'), 'note.key'));
    await ensureNoteKey(data.keys('ledger'), 'development.firebreak.local/ledger');
    await expect(run()).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/note key of the ledger/),
    });
  });

  test('refuses a content that the root did not sign', async () => {
    await run();
    const text = await readFile(data.keyManifest, 'utf8');
    await tamper();
    await expect(run()).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/not signed by/),
    });
    await writeFile(data.keyManifest, text);
    await expect(run()).resolves.toBeDefined();
  });

  test('refuses another root than the pinned one, also where no manifest stands yet', async () => {
    await run();
    await rm(data.keys('root'), { recursive: true });
    await ensureKeys('root', data.keys('root'));
    await rm(data.keyManifest);
    await expect(run()).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/pins/),
    });
  });
});

test('copies of one shared key that differ are refused', async () => {
  await run();
  const file = join(data.keys('executor'), 'codec.key');
  await writeFile(file, `${Buffer.alloc(32, 7).toString('base64url')}\n`);
  await expect(run()).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});

describe('the action manifest', () => {
  const definition = (title: string) => `
    import { z } from ${JSON.stringify(import.meta.resolve('zod'))};
    export const definition = {
      name: 'test.things.delete', schemaVersion: 1, title: '${title}', effectClass: 'reversible',
      targetKind: 'postgres', overshoot: [], longestRunMs: 1000, input: z.strictObject({}), plan: async () => {},
    };`;

  async function actionsTitled(title: string): Promise<string> {
    const directory = await mkdtemp(join(data.root, '..', 'actions-'));
    const folder = join(directory, 'test.things.delete');
    await mkdir(folder);
    await writeFile(join(folder, 'definition.ts'), definition(title));
    return directory;
  }

  test('is signed by the root, again when a definition changes, and not otherwise', async () => {
    const { pin } = await run(await actionsTitled('Delete things'));
    const keys = await loadManifest(data.keyManifest, pin);
    const signed = await readFile(data.actionManifest, 'utf8');
    const manifests = await loadActionManifests(data.actionManifest, { keys, nowS: Date.now() / 1_000 });
    expect(manifests.all()).toMatchObject([{ name: 'test.things.delete', title: 'Delete things' }]);
    const { kid } = await loadSigningKey('root', 'action', data.keys('root'));
    expect(decodeProtectedHeader(JSON.parse(signed)[0]).kid).toBe(kid);
    await run(await actionsTitled('Delete things'));
    expect(await readFile(data.actionManifest, 'utf8')).toBe(signed);
    await run(await actionsTitled('Delete everything'));
    const again = await loadActionManifests(data.actionManifest, { keys, nowS: Date.now() / 1_000 });
    expect(again.find('test.things.delete').title).toBe('Delete everything');
  });
});

test('the agent’s workload key is one that the broker’s issuer knows', async () => {
  const { agents, settings } = await run();
  const [file = ''] = Object.values(agents);
  const key = workloadKeySchema.parse(JSON.parse(await readFile(file, 'utf8')));
  const issuers = await loadWorkloadIssuers(settings, data.root);
  expect(issuers.get(key.issuer)?.has(key.jwk.kid)).toBe(true);
  expect(await readFile(data.issuer, 'utf8')).not.toContain(key.jwk.d);
});
