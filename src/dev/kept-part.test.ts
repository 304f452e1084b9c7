import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { Refusal } from '../refusal.ts';
import { KeptPart, type Running } from './kept-part.ts';

/** Real processes that do nothing for ever. */
const parts: KeptPart[] = [];
afterEach(async () => {
  for (const part of parts.splice(0)) await part.stop();
});

async function sleeper(): Promise<Running> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  const exited = once(child, 'exit').then(([code, signal]) => `code ${code} signal ${signal}`);
  const stop = async () => {
    child.kill();
    await exited;
  };
  return { pid: child.pid ?? 0, exited, stop };
}

function keep(start: () => Promise<Running> = sleeper): { part: KeptPart; said: string[] } {
  const said: string[] = [];
  const part = new KeptPart({
    name: 'sleeper',
    start,
    changed: () => undefined,
    say: (line) => said.push(line),
  });
  parts.push(part);
  return { part, said };
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!holds() && Date.now() < deadline) await delay(20);
  expect(holds()).toBe(true);
}

const lives = (pid: number | undefined) => {
  try {
    return pid !== undefined && process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe('a part that ends by itself', () => {
  test('is started again, and it is said', async () => {
    const { part, said } = keep();
    await part.start();
    const first = part.pid ?? 0;
    process.kill(first, 'SIGKILL');
    await until(() => part.pid !== undefined && part.pid !== first);
    expect(said).toEqual([expect.stringContaining(`sleeper (pid ${first}) ended`)]);
  });

  test('is tried again when it does not start', async () => {
    let fails = 0;
    const { part, said } = keep(async () => {
      if (part.pid === undefined && fails > 0 && fails < 3) {
        fails += 1;
        throw new Refusal('SETUP_FAILED', 'not yet');
      }
      return await sleeper();
    });
    await part.start();
    fails = 1;
    process.kill(part.pid ?? 0, 'SIGKILL');
    await until(() => part.pid !== undefined && fails === 3);
    expect(said.filter((line) => line.includes('not yet'))).toHaveLength(2);
  });

  test('stays down once everything stops', async () => {
    const { part } = keep();
    await part.start();
    process.kill(part.pid ?? 0, 'SIGKILL');
    await until(() => part.pid === undefined);
    await part.stop();
    await delay(500);
    expect(part.pid).toBeUndefined();
  });
});

describe('a part that is killed on purpose', () => {
  test('stays down until it is restarted', async () => {
    const { part, said } = keep();
    await part.start();
    await part.kill('SIGKILL');
    await delay(500);
    expect(part.pid).toBeUndefined();
    await part.restart();
    expect(lives(part.pid)).toBe(true);
    expect(said).toEqual([]);
  });

  test('runs on under a signal that ends nothing', async () => {
    const { part } = keep();
    await part.start();
    const { pid } = part;
    await part.kill('SIGSTOP');
    await part.kill('SIGCONT');
    expect(part.pid).toBe(pid);
  });

  test('is refused when it does not run', async () => {
    const { part } = keep();
    await expect(part.kill('SIGKILL')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

test('a restart leaves one process, the new one', async () => {
  const { part } = keep();
  await part.start();
  const first = part.pid;
  await part.restart();
  expect(lives(first)).toBe(false);
  expect(lives(part.pid)).toBe(true);
});

test('a first start that fails is the caller’s to see', async () => {
  const { part } = keep(async () => {
    throw new Refusal('SETUP_FAILED', 'no');
  });
  await expect(part.start()).rejects.toMatchObject({ code: 'SETUP_FAILED' });
});

test('stop leaves no process, twice', async () => {
  const { part } = keep();
  await part.start();
  const { pid } = part;
  await part.stop();
  await part.stop();
  expect(lives(pid)).toBe(false);
});
