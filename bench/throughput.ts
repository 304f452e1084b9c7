import { setTimeout as delay } from 'node:timers/promises';
import { readDueNotices } from '../src/doors/people/notices.ts';
import { bareResult, startBare, tellBare } from './bare.ts';
import { fileRequest, openVoter, resultOf, settled } from './gated.ts';
import { canMeasure, cpuBetween, memoryOf, type ProcessUse } from './processes.ts';
import { type Result, tableText } from './results.ts';
import { compare, median } from './statistics.ts';
import type { World } from './world.ts';

/**
 * Many at once: all wait, then all are decided side by side. Rounds in turn. CPU is that of every process that has to
 * do with an arm, databases and Temporal included; for Firebreak also what it does behind the answer, cards and ledger.
 */
export type Throughput = { results: Result[]; cpu: string };

type Phase = { perSecond: number; cpuMs: Map<string, number> };
type Round = { before: Phase; decided: Phase; memory: number };

const CONCURRENCY = 50;

/** Who works for the peer; the rest works for Firebreak, and these for both. */
const SHARED: readonly string[] = ['supervisor', 'temporal', 'shop'];
const BARE: readonly string[] = [...SHARED, 'bare worker'];

export async function measureThroughput(
  world: World,
  { rounds, requests, say }: { rounds: number; requests: number; say: (line: string) => void },
): Promise<Throughput> {
  const voter = await openVoter(world);
  const bare: Round[] = [];
  const gated: Round[] = [];
  try {
    for (let at = 0; at < rounds; at += 1) {
      bare.push(
        await round(world, requests, {
          start: async () => await startBare(world),
          decide: async (handle) => {
            await tellBare(handle);
            await bareResult(handle);
          },
          belongs: (name) => BARE.includes(name),
        }),
      );
      gated.push(
        await round(world, requests, {
          start: async () => await fileRequest(world),
          decide: async (waiting) => {
            await voter.approve(waiting);
            await resultOf(world, waiting);
          },
          belongs: (name) => name !== 'bare worker',
        }),
      );
      say(`throughput: round ${at + 1} of ${rounds}`);
    }
  } finally {
    await voter.close();
  }
  return { results: resultsOf(bare, gated, requests), cpu: cpuText(bare, gated, requests) };
}

type Arm<T> = {
  start: () => Promise<T>;
  decide: (started: T) => Promise<void>;
  belongs: (name: string) => boolean;
};

async function round<T>(world: World, requests: number, arm: Arm<T>): Promise<Round> {
  const memoryBefore = memory(world, arm.belongs);
  const waiting: T[] = [];
  const before = await phase(world, arm, async () => {
    await sideBySide(Array.from({ length: requests }), async () => {
      waiting.push(await arm.start());
    });
    return requests;
  });
  const memoryPerRequest = (memory(world, arm.belongs) - memoryBefore) / requests;
  const decided = await phase(world, arm, async () => {
    await sideBySide(waiting, arm.decide);
    return requests;
  });
  return { before, decided, memory: memoryPerRequest };
}

async function phase(
  world: World,
  { belongs }: { belongs: (name: string) => boolean },
  work: () => Promise<number>,
): Promise<Phase> {
  const before = uses(world);
  const startMs = performance.now();
  const done = await work();
  const tookMs = performance.now() - startMs;
  await untilCardsAreShown(world);
  const used = [...cpuBetween(before, uses(world))].filter(([name]) => belongs(name));
  await settled();
  return { perSecond: (done * 1_000) / tookMs, cpuMs: new Map(used) };
}

function uses(world: World): Map<string, ProcessUse[]> {
  return canMeasure() ? world.processes() : new Map();
}

function memory(world: World, belongs: (name: string) => boolean): number {
  return [...uses(world)]
    .filter(([name]) => belongs(name))
    .flatMap(([, processes]) => processes)
    .reduce((sum, { pid }) => sum + memoryOf(pid), 0);
}

async function sideBySide<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  await Promise.all(
    Array.from({ length: CONCURRENCY }, async () => {
      for (const item of left) await work(item);
    }),
  );
}

const CARDS_POLL_MS = 100;
const CARDS_WAIT_MS = 120_000;

async function untilCardsAreShown(world: World): Promise<void> {
  for (const deadline = Date.now() + CARDS_WAIT_MS; Date.now() < deadline; await delay(CARDS_POLL_MS)) {
    const due = { now: new Date(deadline), most: 1, withoutChannels: [] };
    if ((await readDueNotices(world.own, due)).length === 0) return;
  }
}

function resultsOf(bare: readonly Round[], gated: readonly Round[], requests: number): Result[] {
  const rates = (rounds: readonly Round[]) => rounds.map(({ decided }) => [decided.perSecond]);
  const throughput: Result = {
    name: 'gated-throughput-vs-bare',
    unit: 'requests/s',
    ...compare(rates(gated), rates(bare)),
    n: requests * gated.length,
    note: `${requests} requests that wait, decided side by side, until the last one has its result`,
  };
  if (!canMeasure()) return [throughput];
  return [throughput, ...useResults(bare, gated, requests)];
}

function useResults(bare: readonly Round[], gated: readonly Round[], requests: number): Result[] {
  const decided = (rounds: readonly Round[]) => rounds.map((each) => [total(each.decided) / requests]);
  const whole = (rounds: readonly Round[]) =>
    rounds.map((each) => [(total(each.before) + total(each.decided)) / requests]);
  const waiting = (rounds: readonly Round[]) => median(rounds.map((each) => each.memory)) / 2 ** 10;
  const n = requests * gated.length;
  return [
    {
      name: 'gated-cpu-vs-bare',
      unit: 'ms/request',
      ...compare(decided(gated), decided(bare)),
      n,
      note: 'CPU of all processes from the decision on, cards and ledger included',
    },
    {
      name: 'gated-cpu-whole-vs-bare',
      unit: 'ms/request',
      ...compare(whole(gated), whole(bare)),
      n,
      note: 'the same from the submission on: with policy, plan and card',
    },
    {
      name: 'waiting-memory-per-request',
      unit: 'KiB',
      value: waiting(gated),
      baseline: waiting(bare),
      ratio: waiting(gated) / waiting(bare),
      low: null,
      high: null,
      n,
      note: 'growth of all processes while requests came to wait, divided by their number; heaps that grow anyway are in it',
    },
  ];
}

function total({ cpuMs }: Phase): number {
  return [...cpuMs.values()].reduce((sum, ms) => sum + ms, 0);
}

/** Which process uses how much, milliseconds a request from the decision on. */
function cpuText(bare: readonly Round[], gated: readonly Round[], requests: number): string {
  const of = (rounds: readonly Round[], name: string) =>
    median(rounds.map(({ decided }) => decided.cpuMs.get(name) ?? 0)) / requests;
  const names = [...new Set([...bare, ...gated].flatMap(({ decided }) => [...decided.cpuMs.keys()]))];
  const rows = names
    .map((name) => ({ name, gated: of(gated, name), bare: of(bare, name) }))
    .sort((one, other) => other.gated - one.gated)
    .map((row) => [row.name, row.gated.toFixed(1), row.bare.toFixed(1)]);
  return tableText(['process', 'gated CPU ms/request', 'bare'], rows);
}
