import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { domains } from '../domains.ts';
import { readSettings } from '../settings.ts';
import { type DataDirectory, dataDirectory } from './data-directory.ts';
import { findFreePort, HOST } from './ports.ts';
import { prepareRunSettings } from './run-settings.ts';

let data: DataDirectory;
beforeEach(async () => {
  data = dataDirectory(await mkdtemp(join(tmpdir(), 'firebreak-')));
});
afterEach(async () => await rm(data.root, { recursive: true, force: true }));

async function occupy(port: number) {
  const server = createServer().listen({ host: HOST, port });
  await once(server, 'listening');
  return server;
}

test('the first start writes settings that are valid, and the run reads them with absolute paths', async () => {
  const port = await findFreePort(new Set());
  const { settings } = await prepareRunSettings(data, { port });
  const own = await readSettings(data.settings);
  expect(own.deployment.origin).toBe(`http://${HOST}:${port}`);
  expect(own.people.length).toBeGreaterThanOrEqual(4);
  expect(settings.deployment).toEqual(own.deployment);
  expect(settings.issuers[0]?.jwks).toBe(data.issuer);
  expect(await readSettings(data.runSettings)).toEqual(settings);
});

test('the user’s text is never rewritten: other ports, policies and actions stand in the run’s file', async () => {
  await prepareRunSettings(data, { port: 0 });
  const edited = (await readFile(data.settings, 'utf8'))
    .replace('name = "Alice Adams"', 'name = "Alice B. Adams" # married')
    .replace('mode = "development"', 'mode = "production"');
  await writeFile(data.settings, edited);
  const port = await findFreePort(new Set());
  const { settings } = await prepareRunSettings(data, { port, policies: '/p', actions: '/a' });
  expect(await readFile(data.settings, 'utf8')).toBe(edited);
  expect(settings.deployment).toMatchObject({ origin: `http://${HOST}:${port}`, mode: 'development' });
  expect(settings.policies.directory).toBe('/p');
  expect(settings.actions.directories).toEqual(['/a']);
  expect(settings.people[0]?.name).toBe('Alice B. Adams');
});

test('a domain’s port that is in use is replaced, one that is free is kept', async () => {
  await prepareRunSettings(data, { port: 0 });
  const { addresses } = await readSettings(data.settings);
  const server = await occupy(Number(new URL(addresses.gate).port));
  const { settings } = await prepareRunSettings(data, { port: 0 });
  server.close();
  expect(settings.addresses.gate).not.toBe(addresses.gate);
  expect(settings.addresses.broker).toBe(addresses.broker);
  expect(new Set(Object.values(settings.addresses)).size).toBe(domains.length);
});

test('an origin port that is in use is refused, with the way out', async () => {
  const port = await findFreePort(new Set());
  const server = await occupy(port);
  const refused = prepareRunSettings(data, { port });
  await expect(refused).rejects.toMatchObject({
    code: 'SETUP_FAILED',
    message: expect.stringMatching(/--port/),
  });
  server.close();
  await once(server, 'close');
  await expect(prepareRunSettings(data, { port })).resolves.toBeDefined();
});

test('settings with an unknown key refuse to start with its name', async () => {
  await prepareRunSettings(data, { port: 0 });
  await writeFile(data.settings, `${await readFile(data.settings, 'utf8')}\nretries = 3\n`);
  await expect(prepareRunSettings(data, { port: 0 })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(/retries/),
  });
});
