import { readdirSync, readFileSync } from 'node:fs';

/** What the processes of this run use, from /proc: this process and all that it has started. */
export type ProcessUse = { pid: number; parent: number; name: string; cpuMs: number };

/** Linux counts in these, whatever the kernel's own clock: `getconf CLK_TCK` is 100 everywhere. */
const TICK_MS = 10;
const KIB = 1_024;

export function canMeasure(): boolean {
  return process.platform === 'linux';
}

/** User and system time of each process, with that of its children that have ended (backends of PostgreSQL). */
export function processUses(): ProcessUse[] {
  const all = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => readStat(Number(pid)) ?? []);
  const ours = new Set([process.pid]);
  // Parents usually have the smaller number, but numbers wrap: look until nothing is added.
  for (let before = 0; before !== ours.size; ) {
    before = ours.size;
    for (const { pid, parent } of all) if (ours.has(parent)) ours.add(pid);
  }
  return all.filter(({ pid }) => ours.has(pid));
}

function readStat(pid: number): ProcessUse | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name stands in brackets and may hold spaces and brackets itself.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const ticks = [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]), 0);
    const name = text.slice(text.indexOf('(') + 1, text.lastIndexOf(')'));
    return { pid, parent: Number(fields[1]), name, cpuMs: ticks * TICK_MS };
  } catch {
    // Ended meanwhile.
    return undefined;
  }
}

/** Memory that is a process's own share, bytes: pages of several processes are divided among them. */
export function memoryOf(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    return Number(/^Pss:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * KIB;
  } catch {
    return 0;
  }
}

/** Each process under the name of its nearest named ancestor, itself included. */
export function byName(
  uses: readonly ProcessUse[],
  names: ReadonlyMap<number, string>,
): Map<string, ProcessUse[]> {
  const parents = new Map(uses.map(({ pid, parent }) => [pid, parent]));
  const nameOf = (pid: number): string => {
    const parent = parents.get(pid);
    return names.get(pid) ?? (parent === undefined ? 'other' : nameOf(parent));
  };
  return Map.groupBy(uses, ({ pid }) => nameOf(pid));
}

/** CPU between two looks. A child that ended in between is in its parent's sum, so that nothing is lost. */
export function cpuBetween(
  before: ReadonlyMap<string, readonly ProcessUse[]>,
  after: ReadonlyMap<string, readonly ProcessUse[]>,
): Map<string, number> {
  const sum = (uses: readonly ProcessUse[] = []) => uses.reduce((total, { cpuMs }) => total + cpuMs, 0);
  return new Map([...after].map(([name, uses]) => [name, sum(uses) - sum(before.get(name))]));
}
