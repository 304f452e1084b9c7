import { z } from 'zod';
import type { Bell } from '../../bell.ts';
import { finalStates, findRequest, type RequestRow, requestRowSchema } from '../../database/requests.ts';
import { openResult } from '../../identity/result-envelope.ts';
import { codeOf, Refusal } from '../../refusal.ts';
import type { Agent } from './authenticate.ts';
import type { Door } from './door.ts';

/** What an agent may know of its requests: state, never votes, plans or other people's requests. */

/** A look without a ring, so that a lost notification costs seconds and not the whole wait. */
const LOOK_PERIOD_MS = 5_000;

const idSchema = z.string().regex(/^req_[A-Za-z0-9_-]{22}$/);

/** @param waitMs how long the answer may wait for a change; a request that has ended is answered at once. */
export async function show(door: Door, agent: Agent, asked: { id: string; waitMs: number }): Promise<object> {
  const { id, waitMs } = asked;
  if (waitMs === 0) return await viewOf(door, await findOwn(door, agent, id));
  const row = await door.watchers.watch(id, async (bell, isOpen) => {
    const before = await findOwn(door, agent, id);
    return await waitForChange(before, { bell, waitMs, isOpen, again: () => findOwn(door, agent, id) });
  });
  return await viewOf(door, row);
}

const listedSchema = requestRowSchema.pick({
  id: true,
  revision: true,
  action: true,
  resource: true,
  state: true,
  created_at: true,
  expires_at: true,
});

export async function list(door: Door, agent: Agent, limit: number): Promise<object> {
  const { client_id, tenant } = agent.claims;
  const rows = await door.database.rows(
    listedSchema,
    `select id, revision, action, resource, state, created_at, expires_at from firebreak.request
     where tenant = $1 and agent = $2 order by created_at desc, id limit $3`,
    [tenant, client_id, limit],
  );
  return {
    requests: rows.map(({ id, created_at, expires_at, ...row }) => ({
      requestId: id,
      ...row,
      final: finalStates.includes(row.state),
      createdAt: created_at,
      expiresAt: expires_at,
    })),
  };
}

const resultSchema = z.object({ envelope: z.string() });

export async function showResult(door: Door, agent: Agent, id: string): Promise<object> {
  const row = await findOwn(door, agent, id);
  const [stored] = await door.database.rows(
    resultSchema,
    'select envelope from firebreak.result where request_id = $1',
    [row.id],
  );
  if (stored === undefined) throw new Refusal('NO_RESULT', `request is ${row.state} and has no result`);
  const result: unknown = JSON.parse(await openResult(row.id, stored.envelope, door.resultKey));
  return { requestId: row.id, revision: row.revision, result };
}

/** The same answer for a request of somebody else and for one that is not there. */
export async function findOwn(door: Door, { claims }: Agent, id: string): Promise<RequestRow> {
  const unknown = () => new Refusal('UNKNOWN_REQUEST', 'no request of yours has this id');
  if (!idSchema.safeParse(id).success) throw unknown();
  const row = await findRequest(door.database, id).catch((error: unknown) => {
    throw codeOf(error) === 'UNKNOWN_REQUEST' ? unknown() : error;
  });
  if (row.tenant !== claims.tenant || row.agent !== claims.client_id) throw unknown();
  return row;
}

type Wait = { bell: Bell; waitMs: number; isOpen: () => boolean; again: () => Promise<RequestRow> };

async function waitForChange(before: RequestRow, wait: Wait): Promise<RequestRow> {
  const deadline = performance.now() + wait.waitMs;
  let row = before;
  while (!hasEnded(row) && row.state_at.getTime() === before.state_at.getTime()) {
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) break;
    await wait.bell.wait(Math.min(leftMs, LOOK_PERIOD_MS));
    if (!wait.isOpen()) throw new Refusal('UNAVAILABLE', 'this door closes now; ask again');
    row = await wait.again();
  }
  return row;
}

/** Indeterminate is not final, but nothing more happens until a person acts. */
function hasEnded({ state }: RequestRow): boolean {
  return finalStates.includes(state) || state === 'indeterminate';
}

const askSchema = z.object({
  digest: z.string(),
  needed: z.int(),
  have: z.int(),
  groups: z.array(z.string()),
  expires_at: z.date(),
});

export async function viewOf(door: Door, row: RequestRow): Promise<object> {
  const [ask] = await door.database.rows(
    askSchema,
    `select digest, quorum as needed, groups, expires_at,
       (select count(*)::int from firebreak.vote v where v.request_id = a.request_id and v.revision = a.revision
          and v.digest = a.digest and v.choice = 'approve') as have
     from firebreak.ask a where request_id = $1 and revision = $2 order by id desc limit 1`,
    [row.id, row.revision],
  );
  return {
    requestId: row.id,
    revision: row.revision,
    action: row.action,
    resource: row.resource,
    state: row.state,
    final: finalStates.includes(row.state),
    detail: row.state_detail,
    requestDigest: row.request_digest,
    ...(ask === undefined ? {} : approvalsOf(ask)),
    createdAt: row.created_at,
    stateAt: row.state_at,
    expiresAt: row.expires_at,
    traceId: row.trace_id,
  };
}

function approvalsOf({ digest, needed, have, groups, expires_at }: z.infer<typeof askSchema>) {
  return { digest, approvals: { needed, have, groups, expiresAt: expires_at } };
}
