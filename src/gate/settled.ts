import { z } from 'zod';
import type { CallBody, CallReply } from '../call/table.ts';
import { verify } from '../identity/verify.ts';
import { Refusal } from '../refusal.ts';
import type { Gate } from './gate.ts';

/** What really happened to a request: its consumption and the executor's signed outcome, never an activity's result. */
const settledSchema = z.object({ statement: z.string().nullable(), recent: z.boolean() });

/** Who consumed a moment ago may still be acting; only afterwards is a missing outcome an unknown one. */
const ACTING_FOR = '15 seconds';

export function createSettled(
  gate: Pick<Gate, 'database' | 'keys' | 'clock'>,
): (body: CallBody<'gate', 'settled'>) => Promise<CallReply<'gate', 'settled'>> {
  return async ({ requestId }) => {
    const [row] = await gate.database.rows(
      settledSchema,
      `select o.statement, c.consumed_at > clock_timestamp() - $2::interval as recent from firebreak.consumption c
       left join firebreak.outcome o on o.effect_key = c.effect_key and o.fence = c.fence
       where c.effect_key = $1 order by c.fence desc limit 1`,
      [requestId, ACTING_FOR],
    );
    if (row === undefined) return { kind: 'not-consumed', refusal: null };
    if (row.statement === null) {
      if (row.recent) throw new Refusal('UNAVAILABLE', 'the attempt that consumed may still be acting');
      return { kind: 'unknown' };
    }
    const nowS = Math.floor(gate.clock() / 1_000);
    const outcome = await verify('outcome', row.statement, { keys: gate.keys, nowS });
    if (outcome.effectKey !== requestId) return { kind: 'unknown' };
    switch (outcome.outcome) {
      case 'applied':
        return { kind: 'applied', counts: outcome.counts };
      case 'refused':
        return { kind: 'refused', code: outcome.code ?? 'TARGET_REFUSED' };
      case 'unknown':
        return { kind: 'unknown' };
    }
  };
}
