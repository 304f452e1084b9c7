import { readBare } from './bare.ts';
import { settled } from './gated.ts';
import type { Result } from './results.ts';
import { compare } from './statistics.ts';
import { TABLE, type World } from './world.ts';

/** A read that asks nobody, from the submission until the agent holds the rows, beside start-activity-complete. */
const BLOCKS = 3;
const WARM_UPS = 3;
const ROW = 400;
const WAIT_MS = 60_000;

export async function measureRead(
  world: World,
  { rounds, say }: { rounds: number; say: (line: string) => void },
): Promise<Result[]> {
  const bare: number[][] = [];
  const gated: number[][] = [];
  for (let at = 0; at < WARM_UPS; at += 1) {
    await readBare(world, ROW);
    await readGated(world);
  }
  for (let block = 0; block < BLOCKS; block += 1) {
    const own: number[] = [];
    const peer: number[] = [];
    for (let at = 0; at < rounds; at += 1) {
      peer.push(await timed(async () => await readBare(world, ROW)));
      own.push(await timed(async () => await readGated(world)));
    }
    bare.push(peer);
    gated.push(own);
    say(`read: block ${block + 1} of ${BLOCKS}`);
  }
  const note = 'from the submission over HTTP until the agent holds the decrypted row; execute for the peer';
  return [{ name: 'read-latency-vs-bare', unit: 'ms', ...compare(gated, bare), note }];
}

async function readGated({ agent }: World): Promise<void> {
  const where = { column: 'id', op: 'eq', value: ROW };
  const { requestId } = await agent.submit({
    action: 'postgres.rows.read',
    input: { database: 'shop', table: `public.${TABLE}`, where, limit: 1 },
  });
  const { state } = await agent.waitFor(requestId, { timeoutMs: WAIT_MS });
  if (state !== 'done') throw new Error(`expected ${requestId} to be done, it is ${state}`);
  await agent.result(requestId);
}

async function timed(work: () => Promise<void>): Promise<number> {
  await settled();
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}
