import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockDataDirectory } from './data-lock.ts';

let directory: string;
const processes: ChildProcess[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'firebreak-'));
});

afterEach(async () => {
  for (const process of processes.splice(0)) process.kill('SIGKILL');
  await rm(directory, { recursive: true });
});

/** Another process that tries to take the lock and then stays. */
async function starter(): Promise<{ process: ChildProcess; said: string }> {
  const script = `
    const { lockDataDirectory } = await import(${JSON.stringify(new URL('./data-lock.ts', import.meta.url))});
    const said = await lockDataDirectory(${JSON.stringify(directory)}).then(() => 'locked', (error) => error.code);
    console.log(said);
    setTimeout(() => undefined, 60_000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  processes.push(child);
  const [said] = await once(createInterface({ input: child.stdout }), 'line');
  return { process: child, said: String(said) };
}

test('a directory in use is refused with the pid of its holder', async () => {
  const holder = await starter();
  expect(holder.said).toBe('locked');
  const refusal = { code: 'DATA_IN_USE', message: expect.stringContaining(`pid ${holder.process.pid}`) };
  await expect(lockDataDirectory(directory)).rejects.toMatchObject(refusal);
});

test('a directory whose holder was killed is free at once', async () => {
  const holder = await starter();
  holder.process.kill('SIGKILL');
  await once(holder.process, 'exit');
  expect((await starter()).said).toBe('locked');
});

test('a holder keeps its lock while others are refused, and a released one is free', async () => {
  const lock = await lockDataDirectory(directory);
  await expect(lockDataDirectory(directory)).rejects.toMatchObject({ code: 'DATA_IN_USE' });
  expect((await starter()).said).toBe('DATA_IN_USE');
  await lock.release();
  await lock.release();
  expect((await starter()).said).toBe('locked');
});

test('of several starters at once exactly one gets the lock', async () => {
  const said = (await Promise.all([starter(), starter(), starter(), starter()])).map((one) => one.said);
  expect(said.sort()).toEqual(['DATA_IN_USE', 'DATA_IN_USE', 'DATA_IN_USE', 'locked']);
});
