import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { endOrphans, recordChild } from './children.ts';
import { identityOf } from './process-identity.ts';

let directory: string;
let child: ChildProcess;
const silent = () => undefined;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'firebreak-'));
});

afterEach(async () => {
  child.kill('SIGKILL');
  await rm(directory, { recursive: true });
});

async function start(script: string): Promise<number> {
  child = spawn(process.execPath, ['-e', `${script}; setInterval(() => undefined, 1000); console.log('up')`]);
  await once(child.stdout ?? child, 'data');
  return child.pid ?? 0;
}

test('an orphan is asked to end', async () => {
  await recordChild(directory, { name: 'gateway', pid: await start('') });
  await Promise.all([endOrphans(directory, silent), once(child, 'exit')]);
  expect(child.signalCode).toBe('SIGTERM');
  expect(await readdir(join(directory, 'children'))).toEqual([]);
});

test('an orphan is asked by the signal that it was recorded with', async () => {
  await recordChild(directory, { name: 'postgres', pid: await start(''), signal: 'SIGINT' });
  await Promise.all([endOrphans(directory, silent), once(child, 'exit')]);
  expect(child.signalCode).toBe('SIGINT');
});

test('an orphan that does not listen is killed', async () => {
  await recordChild(directory, {
    name: 'gateway',
    pid: await start("process.on('SIGTERM', () => undefined)"),
  });
  const timeoutMs = 200;
  await Promise.all([endOrphans(directory, silent, timeoutMs), once(child, 'exit')]);
  expect(child.signalCode).toBe('SIGKILL');
});

test('a pid that means another process by now is not signalled', async () => {
  await recordChild(directory, { name: 'gateway', pid: await start('') });
  const file = join(directory, 'children', 'gateway.json');
  const record: unknown = JSON.parse(await readFile(file, 'utf8'));
  await writeFile(file, JSON.stringify(Object.assign({}, record, { started: 'another time' })));
  await endOrphans(directory, silent);
  expect(await identityOf(child.pid ?? 0)).toBeDefined();
  expect(await readdir(join(directory, 'children'))).toEqual([]);
});

test('a record that cannot be read ends nothing and does not stop a start', async () => {
  const pid = await start('');
  await recordChild(directory, { name: 'gateway', pid });
  await writeFile(join(directory, 'children', 'gateway.json'), `{"name":"gateway","pid":${pid}`);
  await endOrphans(directory, silent);
  expect(await identityOf(child.pid ?? 0)).toBeDefined();
});

test('a directory without records has no orphans', async () => {
  await start('');
  await endOrphans(directory, silent);
  expect(await identityOf(child.pid ?? 0)).toBeDefined();
});
