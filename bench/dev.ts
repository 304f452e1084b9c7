import { startDev } from '../src/dev/supervisor.ts';
import { canMeasure, memoryOf } from './processes.ts';
import type { Result } from './results.ts';
import { median } from './statistics.ts';
import type { World } from './world.ts';

const STARTS = 3;
const MS = 1_000;

/** Everything embedded, on data that is there. The world has stopped. */
export async function measureStart(data: string, say: (line: string) => void): Promise<Result[]> {
  const seconds: number[] = [];
  for (let at = 0; at < STARTS; at += 1) {
    const startMs = performance.now();
    const dev = await startDev({ data, port: 0, logLevel: 'warn' });
    seconds.push((performance.now() - startMs) / MS);
    await dev.stop();
    say(`start: ${at + 1} of ${STARTS}`);
  }
  return [
    {
      name: 'dev-start-warm',
      unit: 's',
      value: median(seconds),
      baseline: null,
      ratio: null,
      low: Math.min(...seconds),
      high: Math.max(...seconds),
      n: STARTS,
      note: 'firebreak dev on a data directory that is there, until everything answers; low and high are seconds',
    },
  ];
}

/** What the peer needs of the same parts: Temporal, the target, its worker. */
const PEER: readonly string[] = ['temporal', 'shop', 'bare worker'];

export function measureMemory(world: World): Result[] {
  if (!canMeasure()) return [];
  const sum = (belongs: (name: string) => boolean) =>
    [...world.processes()]
      .filter(([name]) => belongs(name))
      .flatMap(([, processes]) => processes)
      .reduce((total, { pid }) => total + memoryOf(pid), 0) /
    2 ** 20;
  const value = sum((name) => name !== 'bare worker');
  const baseline = sum((name) => PEER.includes(name));
  return [
    {
      name: 'memory-of-all-processes',
      unit: 'MiB',
      value,
      baseline,
      ratio: value / baseline,
      low: null,
      high: null,
      n: 1,
      note: 'at rest, after the start; Temporal, the target and one worker for the peer',
    },
  ];
}
