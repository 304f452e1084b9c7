import { bareResult, startBare, tellBare } from './bare.ts';
import { clickApprove, fileRequest, openVoter, resultOf, settled } from './gated.ts';
import { type Hops, readHops } from './hops.ts';
import type { Result } from './results.ts';
import { compare, median, percentile } from './statistics.ts';
import type { World } from './world.ts';

/**
 * From the decision to the result, one at a time and arms in turn, so that whatever else the machine does meets all
 * of them alike. What comes before the decision is not in it.
 */
const BLOCKS = 3;
const WARM_UPS = 5;

type Arm = { name: string; prepare: () => Promise<Run> };
type Run = { act: () => Promise<void>; after?: () => Promise<void> };

export type Latency = { results: Result[]; hops: Hops[]; percentiles: string[][] };

export async function measureLatency(
  world: World,
  { rounds, say }: { rounds: number; say: (line: string) => void },
): Promise<Latency> {
  const voter = await openVoter(world);
  const hops: Hops[] = [];
  const bare: Arm = {
    name: 'bare',
    async prepare() {
      const handle = await startBare(world);
      const act = async () => {
        await tellBare(handle);
        await bareResult(handle);
      };
      return { act };
    },
  };
  const gated = (name: string, answer: typeof voter.approve): Arm => ({
    name,
    async prepare() {
      const waiting = await fileRequest(world);
      const seen = { startMs: 0, answeredMs: 0, endMs: 0 };
      const act = async () => {
        seen.startMs = now();
        await answer(waiting);
        seen.answeredMs = now();
        await resultOf(world, waiting);
        seen.endMs = now();
      };
      const after = async () => {
        if (name === 'click') hops.push(await readHops(world, waiting, seen));
      };
      return { act, after };
    },
  });
  const arms = [
    bare,
    gated('vote', async (waiting) => await voter.approve(waiting)),
    gated('click', async (waiting) => await clickApprove(world, waiting)),
  ];
  try {
    for (let at = 0; at < WARM_UPS; at += 1) for (const arm of arms) await runOnce(arm);
    hops.length = 0;
    const samples = new Map(arms.map(({ name }): [string, number[][]] => [name, []]));
    for (let block = 0; block < BLOCKS; block += 1) {
      for (const own of samples.values()) own.push([]);
      for (let at = 0; at < rounds; at += 1) {
        for (const arm of arms)
          samples
            .get(arm.name)
            ?.at(-1)
            ?.push(await runOnce(arm));
      }
      say(`latency: block ${block + 1} of ${BLOCKS}`);
    }
    return {
      results: [...resultsOf(samples), acknowledgement(hops)],
      hops,
      percentiles: percentilesOf(samples),
    };
  } finally {
    await voter.close();
  }
}

/** Everything before the decision has come to rest, then the time of the rest alone. */
async function runOnce(arm: Arm): Promise<number> {
  const { act, after } = await arm.prepare();
  await settled();
  const startMs = performance.now();
  await act();
  const tookMs = performance.now() - startMs;
  await after?.();
  return tookMs;
}

/** Comparable with the clocks of the other processes and databases of this machine, finer than a millisecond. */
function now(): number {
  return performance.timeOrigin + performance.now();
}

function resultsOf(samples: ReadonlyMap<string, number[][]>): Result[] {
  const of = (name: string) => samples.get(name) ?? [];
  return [
    {
      name: 'gated-latency-vs-bare',
      unit: 'ms',
      ...compare(of('vote'), of('bare')),
      note: 'vote cast as the people door casts it, until the workflow has its result; signal to result for the peer',
    },
    {
      name: 'click-latency-vs-bare',
      unit: 'ms',
      ...compare(of('click'), of('bare')),
      note: 'the same from a click in the Slack stand-in, with its signature, the proxy and Bolt',
    },
  ];
}

/** Slack shows a warning to whoever clicked when it waits longer. */
const SLACK_WAITS_MS = 3_000;

function acknowledgement(hops: readonly Hops[]): Result {
  const samples = hops.flatMap((each) => each.get('click acknowledged') ?? []);
  const value = median(samples);
  return {
    name: 'slack-ack',
    unit: 'ms',
    value,
    baseline: SLACK_WAITS_MS,
    ratio: value / SLACK_WAITS_MS,
    low: Math.min(...samples) / SLACK_WAITS_MS,
    high: Math.max(...samples) / SLACK_WAITS_MS,
    n: samples.length,
    note: 'from the click in the stand-in until it is acknowledged, the vote durable; Slack waits for the baseline',
  };
}

const SHARES = [0.5, 0.95];

function percentilesOf(samples: ReadonlyMap<string, number[][]>): string[][] {
  return [...samples].map(([name, blocks]) => [
    name,
    ...SHARES.map((share) => percentile(blocks.flat(), share).toFixed(1)),
    `${blocks.flat().length}`,
  ]);
}
