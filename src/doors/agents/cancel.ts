import { z } from 'zod';
import { requestFacts } from '../../database/request-facts.ts';
import { Refusal } from '../../refusal.ts';
import type { Agent } from './authenticate.ts';
import type { Door } from './door.ts';
import { findOwn, viewOf } from './show.ts';

const cancelledSchema = z.object({ cancelled: z.boolean() });

/**
 * Takes back what this agent asked. After the answer nothing of it can be consumed any more; REQUEST_CLOSED where it
 * has ended, or where a capability was consumed and the act is under way. The same again changes nothing.
 */
export async function cancel(door: Door, agent: Agent, id: string): Promise<object> {
  const row = await findOwn(door, agent, id);
  if (row.state !== 'cancelled') {
    const entry = await door.writeEntry({
      kind: 'cancelled',
      ...requestFacts(row),
      actor: agent.claims.sub,
    });
    const [stored] = await door.database.rows(
      cancelledSchema,
      'select firebreak.cancel_request($1, $2) as cancelled',
      [row.id, entry],
    );
    if (stored?.cancelled !== true) await refuseUnlessCancelled(door, agent, id);
  }
  return await viewOf(door, await findOwn(door, agent, id));
}

/** Of two cancellations at once the second one finds it done. */
async function refuseUnlessCancelled(door: Door, agent: Agent, id: string): Promise<void> {
  const { state } = await findOwn(door, agent, id);
  if (state === 'cancelled') return;
  const isOpen = state === 'accepted' || state === 'waiting' || state === 'performing';
  throw new Refusal('REQUEST_CLOSED', isOpen ? 'request is being performed' : `request is ${state}`);
}
