import { planBodySchema } from '../../action/define.ts';
import { readContent } from '../../database/request-content.ts';
import { finalStates, findPlan, type RequestRow } from '../../database/requests.ts';
import { Refusal } from '../../refusal.ts';
import type { Agent } from './authenticate.ts';
import type { Door } from './door.ts';
import { findRepeated } from './idempotency.ts';
import { findOwn } from './show.ts';
import { type Answer, file } from './submit.ts';

/**
 * Files the request that takes another one back, with the effect class of what it does itself and through the same
 * decisions, votes and gate. The same undo again is the same request while that one is open.
 */
export async function undo(
  door: Door,
  agent: Agent,
  asked: { id: string; traceId: string },
): Promise<Answer> {
  const row = await findOwn(door, agent, asked.id);
  const body = await bodyOf(door, row);
  const idempotencyKey = await openKey(door, agent, row.id);
  return await file(door, agent, { body, idempotencyKey, traceId: asked.traceId });
}

async function bodyOf(door: Door, row: RequestRow): Promise<object> {
  if (row.state !== 'done') throw new Refusal('NOTHING_KEPT', `request is ${row.state} and was not done`);
  const definition = door.definitions.get(row.action);
  const { undo: back } = definition ?? {};
  const content = readContent(row);
  const input = definition?.input.safeParse(content.input);
  if (back === undefined || input?.success !== true || definition?.schemaVersion !== content.schemaVersion) {
    throw new Refusal('NOTHING_KEPT', `nothing takes back what ${row.action} does`);
  }
  await refuseUnlessKept(door, row);
  return { action: back.action, input: back.input(row.id, input.data) };
}

async function refuseUnlessKept(door: Door, { id, revision }: RequestRow): Promise<void> {
  const plan = await findPlan(door.database, { requestId: id, revision });
  const body = planBodySchema.safeParse(JSON.parse(plan?.body ?? 'null'));
  if (body.data?.undo !== 'kept') throw new Refusal('NOTHING_KEPT', 'the plan of this request kept no undo');
}

/** How often one request may be asked to be undone: each of them denied, expired, failed or cancelled but the last. */
const UNDO_ASKS_MAX = 20;

/**
 * The key of the first undo that is open or was not asked yet. No agent can send it, because an Idempotency-Key is
 * ASCII; two undos at once get the same key, and the unique index lets one of them be.
 */
async function openKey(door: Door, agent: Agent, id: string): Promise<string> {
  for (let number = 1; number <= UNDO_ASKS_MAX; number += 1) {
    const idempotencyKey = `undo → ${id} ${number}`;
    const before = await findRepeated(door.database, agent, { idempotencyKey });
    if (before === undefined || !finalStates.includes(before.state)) return idempotencyKey;
  }
  throw new Refusal('RATE_LIMITED', `expected at most ${UNDO_ASKS_MAX} requests to undo one request`);
}
