import type { temporal } from '@temporalio/proto';
import { decodeJwt } from 'jose';
import { z } from 'zod';
import { workflowIdOf } from '../src/temporal/queues.ts';
import type { Waiting } from './gated.ts';
import { tableText } from './results.ts';
import { median } from './statistics.ts';
import type { World } from './world.ts';

/**
 * Where the milliseconds of one request go: the times that its entries, its rows and its history carry anyway. All
 * are of one machine's clock, so that differences mean something; entries carry whole milliseconds.
 */
export type Hops = Map<string, number>;

type Seen = { startMs: number; answeredMs: number; endMs: number };

const rowSchema = z.object({
  cast_at: z.number(),
  consumed_at: z.number(),
  outcome_at: z.number(),
  state_at: z.number(),
});
const entrySchema = z.object({ kind: z.string(), jws: z.string() });

export async function readHops(world: World, waiting: Waiting, seen: Seen): Promise<Hops> {
  const times: [string, number | undefined][] = [
    ['click sent', seen.startMs],
    ...(await rowTimes(world, waiting)),
    ...(await entryTimes(world, waiting)),
    ...(await historyTimes(world, waiting)),
    ['click acknowledged', seen.answeredMs],
    ['client has the result', seen.endMs],
  ];
  const known = times.filter((entry): entry is [string, number] => entry[1] !== undefined);
  return new Map(known.map(([name, at]) => [name, at - seen.startMs]));
}

const MS = (column: string) => `(extract(epoch from ${column}) * 1000)::float8`;

async function rowTimes(world: World, { requestId }: Waiting): Promise<[string, number | undefined][]> {
  const [row] = await world.own.rows(
    rowSchema,
    `select ${MS('v.cast_at')} as cast_at, ${MS('c.consumed_at')} as consumed_at,
       ${MS('o.recorded_at')} as outcome_at, ${MS('r.state_at')} as state_at
     from firebreak.request r join firebreak.vote v on v.request_id = r.id
       join firebreak.consumption c on c.effect_key = r.id join firebreak.outcome o on o.effect_key = r.id
     where r.id = $1`,
    [requestId],
  );
  const { rows } = await world.shop.query<{ at: number }>(
    `select ${MS('applied_at')} as at from firebreak.effects where effect_key = $1`,
    [requestId],
  );
  return [
    ['vote row written', row?.cast_at],
    ['consumption row written', row?.consumed_at],
    ['target begins to act', rows[0]?.at],
    ['outcome row written', row?.outcome_at],
    ['request row done', row?.state_at],
  ];
}

/** Entries are signed just before they are written. */
const entryNames: Record<string, string> = {
  voted: 'vote signed',
  decided: 'broker has decided',
  'capability-minted': 'capability signed',
  consumed: 'gate has checked',
  traded: 'trade recorded',
  performed: 'target has answered',
};

async function entryTimes(world: World, { requestId }: Waiting): Promise<[string, number | undefined][]> {
  const rows = await world.own.rows(
    entrySchema,
    'select kind, jws from firebreak.entry where request_id = $1 order by number',
    [requestId],
  );
  return rows.flatMap(({ kind, jws }) => {
    const claims = z.object({ time: z.string(), stage: z.string().optional() }).parse(decodeJwt(jws));
    const name = entryNames[kind];
    if (name === undefined || (kind === 'decided' && claims.stage !== 'mint')) return [];
    return [[name, Date.parse(claims.time)]];
  });
}

type Event = temporal.api.history.v1.IHistoryEvent;

/** From the signal on: the workflow is told, looks, starts the executor's activity, asks the gate, ends. */
async function historyTimes(world: World, { requestId }: Waiting): Promise<[string, number | undefined][]> {
  const handle = world.temporal.client.workflow.getHandle(workflowIdOf(requestId));
  const events = (await handle.fetchHistory()).events ?? [];
  const from = events.findIndex((event) => event.workflowExecutionSignaledEventAttributes != null);
  const after = events.slice(from);
  const first = (holds: (event: Event) => boolean) => timeOf(after.find(holds));
  const last = (holds: (event: Event) => boolean) => timeOf(after.findLast(holds));
  return [
    ['signal in history', timeOf(after[0])],
    ['workflow task: look, starts', first((event) => event.workflowTaskStartedEventAttributes != null)],
    ['workflow task: look, done', first((event) => event.workflowTaskCompletedEventAttributes != null)],
    ['activity starts', first((event) => event.activityTaskStartedEventAttributes != null)],
    ['activity reported', first((event) => event.activityTaskCompletedEventAttributes != null)],
    ['workflow task: end, starts', last((event) => event.workflowTaskStartedEventAttributes != null)],
    ['workflow completed', last((event) => event.workflowExecutionCompletedEventAttributes != null)],
  ];
}

function timeOf(event: Event | undefined): number | undefined {
  const time = event?.eventTime;
  return time == null ? undefined : Number(time.seconds) * 1_000 + Number(time.nanos) / 1_000_000;
}

/** Medians of each moment in order of time, and of the gap to the moment before. */
export function hopsText(all: readonly Hops[]): string {
  const names = [...new Set(all.flatMap((hops) => [...hops.keys()]))];
  const moments = names
    .map((name) => ({ name, at: median(all.flatMap((hops) => hops.get(name) ?? [])) }))
    .sort((one, other) => one.at - other.at);
  const rows = moments.map(({ name, at }, index) => [
    name,
    at.toFixed(1),
    (at - (moments[index - 1]?.at ?? at)).toFixed(1),
  ]);
  return tableText(['moment', 'ms after the click', 'since the one before'], rows);
}
