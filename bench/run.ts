import { parseArgs } from 'node:util';
import { measureMemory, measureStart } from './dev.ts';
import { hopsText } from './hops.ts';
import { measureLatency } from './latency.ts';
import { measureAppend, measureVerify } from './ledger.ts';
import { measureDecision } from './policy.ts';
import { measureRead } from './read.ts';
import { type Result, resultsText, tableText, writeResults } from './results.ts';
import { measureThroughput } from './throughput.ts';
import { startWorld, type World } from './world.ts';

/**
 * `npm run bench`: Firebreak beside its peers, arms in turn on one machine, so that ratios mean something where
 * absolute numbers do not. Progress on standard error, tables on standard output, all of it in `bench/results.json`.
 */
const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    rounds: { type: 'string', default: '20' },
    requests: { type: 'string', default: '200' },
  },
});
const rounds = Number(values.rounds);
const requests = Number(values.requests);

/** Relayed votes have a budget of 1,000 an hour: rounds of 200, and the latency's. */
const THROUGHPUT_ROUNDS = 3;

const say = (line: string) => process.stderr.write(`${line}\n`);
const show = (text: string) => process.stdout.write(`${text}\n`);

/** In this order: what fills heaps and tables comes after what is measured at rest. */
const benchmarks: Record<string, (world: World) => Promise<Result[]>> = {
  memory: async (world) => measureMemory(world),
  decision: measureDecision,
  async latency(world) {
    const { results, hops, percentiles } = await measureLatency(world, { rounds, say });
    show(tableText(['arm', 'p50 ms', 'p95 ms', 'n'], percentiles));
    show(hopsText(hops));
    return results;
  },
  read: async (world) => await measureRead(world, { rounds, say }),
  async throughput(world) {
    const { results, cpu } = await measureThroughput(world, { rounds: THROUGHPUT_ROUNDS, requests, say });
    show(cpu);
    return results;
  },
  verify: measureVerify,
  append: measureAppend,
};

const wanted = (name: string) => values.only === undefined || values.only.includes(name);
const known = [...Object.keys(benchmarks), 'start'];
const unknown = values.only?.find((name) => !known.includes(name));
if (unknown === undefined) await run();
else {
  say(`there is no benchmark ${unknown}; there are ${known.join(', ')}`);
  process.exitCode = 2;
}

/** Ctrl-C leaves no process and no data behind. */
async function untilStopped(): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => reject(new Error(`stopped by ${signal}`)));
  }
  return await promise;
}

async function measureAll(world: World, results: Result[]): Promise<void> {
  for (const [name, measure] of Object.entries(benchmarks)) {
    if (!wanted(name)) continue;
    say(`${name} …`);
    results.push(...(await measure(world)));
  }
}

async function run(): Promise<void> {
  const results: Result[] = [];
  const world = await startWorld(say);
  try {
    try {
      await Promise.race([measureAll(world, results), untilStopped()]);
    } finally {
      await world.stop();
    }
    if (wanted('start')) results.push(...(await measureStart(world.data, say)));
  } finally {
    await world.remove();
  }
  show(resultsText(results));
  // A part of them says nothing about the rest: the file is of one whole run.
  if (values.only === undefined) await writeResults(results);
}
