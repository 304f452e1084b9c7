import { parseArgs } from 'node:util';
import { hopsText } from './hops.ts';
import { measureLatency } from './latency.ts';
import { type Result, resultsText, tableText, writeResults } from './results.ts';
import { measureThroughput } from './throughput.ts';
import { startWorld } from './world.ts';

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
/** Relayed votes have a budget of 1,000 an hour. */
const THROUGHPUT_ROUNDS = 2;

const rounds = Number(values.rounds);
const wanted = (name: string) => values.only === undefined || values.only.includes(name);
const say = (line: string) => process.stderr.write(`${line}\n`);

const world = await startWorld(say);
const results: Result[] = [];
try {
  if (wanted('latency')) {
    const { results: own, hops, percentiles } = await measureLatency(world, { rounds, say });
    results.push(...own);
    process.stdout.write(`${tableText(['arm', 'p50 ms', 'p95 ms', 'n'], percentiles)}\n`);
    process.stdout.write(`${hopsText(hops)}\n`);
  }
  if (wanted('throughput')) {
    const { results: own, cpu } = await measureThroughput(world, {
      rounds: THROUGHPUT_ROUNDS,
      requests: Number(values.requests),
      say,
    });
    results.push(...own);
    process.stdout.write(`${cpu}\n`);
  }
} finally {
  await world.stop();
}
process.stdout.write(resultsText(results));
await writeResults(results);
