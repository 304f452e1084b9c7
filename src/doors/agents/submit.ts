import { type RequestContent, requestDigestOf } from '../../action/request.ts';
import { canonicalDigest, canonicalText } from '../../canonical.ts';
import { uniqueViolationOf } from '../../database/pool.ts';
import { finalStates, type RequestRow } from '../../database/requests.ts';
import type { EntryFacts } from '../../ledger/entry.ts';
import { type Ask, readAsk } from './ask.ts';
import type { Agent } from './authenticate.ts';
import type { Door } from './door.ts';
import { findRepeated, IDEMPOTENCY_INDEX } from './idempotency.ts';
import { parseStrict } from './strict-json.ts';

/**
 * Files a request: after the answer it is durable, its workflow will start, and the ledger holds it (S11). A crash
 * anywhere before leaves nothing but, at most, an issued context token, which grants nothing.
 */
export type Submission = { body: Uint8Array; idempotencyKey: string | undefined; traceId: string };
export type Answer = { status: 200 | 202; requestId: string; body: object };

/** 128 bits: nobody guesses another one's request. */
const REQUEST_ID_BYTES = 16;

export async function submit(door: Door, agent: Agent, submission: Submission): Promise<Answer> {
  const { idempotencyKey, traceId } = submission;
  return await file(door, agent, { body: parseStrict(submission.body), idempotencyKey, traceId });
}

export type Filing = { body: unknown; idempotencyKey: string | undefined; traceId: string };

/** The same key and body is the same request, however often and by how many at once. */
export async function file(door: Door, agent: Agent, { body, ...filed }: Filing): Promise<Answer> {
  const { idempotencyKey, traceId } = filed;
  const once = { idempotencyKey, bodyHash: canonicalDigest(body) };
  const repeated = await findBefore(door, agent, once);
  if (repeated !== undefined) return answerOf(repeated);
  const filing = await prepare(door, agent, { ...once, traceId, ask: readAsk(body, door, agent) });
  try {
    await door.database.run('select firebreak.file_request($1, $2)', [filing.row, filing.entry]);
  } catch (error) {
    // Another call with this key was first and has committed: it is the request.
    if (uniqueViolationOf(error) !== IDEMPOTENCY_INDEX) throw error;
    const first = await findBefore(door, agent, once);
    if (first === undefined) throw error;
    return answerOf(first);
  }
  return answerOf(filing.row);
}

type Once = { idempotencyKey: string | undefined; bodyHash: string };

async function findBefore(door: Door, agent: Agent, { idempotencyKey, bodyHash }: Once) {
  if (idempotencyKey === undefined) return undefined;
  const row = await findRepeated(door.database, agent, { idempotencyKey, bodyHash });
  return row === undefined ? undefined : filedOf(row);
}

type Prepared = Once & { ask: Ask; traceId: string };

async function prepare(door: Door, agent: Agent, prepared: Prepared) {
  const { ask, traceId, idempotencyKey, bodyHash } = prepared;
  const content = contentOf(door, agent, ask);
  const { requestId, revision } = content;
  const requestDigest = requestDigestOf(content);
  const expiresAtS = expiryOf(door, agent);
  const { envelope } = await door.caller.call('broker', 'context', {
    requestId,
    revision,
    accessToken: agent.token,
    txn: traceId,
    requestDigest,
    expiresAtS,
  });
  const row = {
    id: requestId,
    revision,
    content: canonicalText(content),
    requestDigest,
    tenant: content.tenant,
    environment: content.environment,
    sessionId: content.session,
    agent: agent.claims.client_id,
    action: content.action,
    target: ask.target,
    resource: content.resource,
    effectClass: ask.manifest.effectClass,
    justification: ask.justification,
    contextEnvelope: envelope,
    traceId,
    idempotencyKey,
    bodyHash,
    expiresAt: new Date(expiresAtS * 1_000).toISOString(),
    state: 'accepted' as const,
  };
  const entry = await door.writeEntry(entryOf(content, agent, { ask, traceId, requestDigest }));
  return { row, entry };
}

function contentOf(door: Door, { claims }: Agent, ask: Ask): RequestContent {
  return {
    requestId: `req_${door.random(REQUEST_ID_BYTES).toString('base64url')}`,
    revision: 1,
    session: claims.sid,
    sub: claims.sub,
    act: claims.act ?? null,
    action: ask.manifest.name,
    schemaVersion: ask.manifest.schemaVersion,
    input: ask.input,
    tenant: claims.tenant,
    environment: claims.environment,
    resource: ask.resource,
  };
}

/** A request never outlives its session: without one it could be approved and not performed. */
function expiryOf({ settings, clock }: Door, { session }: Agent): number {
  const waitMs = settings.limits.approvalMinutes * 60_000;
  return Math.floor(Math.min(clock() + waitMs, session.expires_at.getTime()) / 1_000);
}

type Filed = { ask: Ask; traceId: string; requestDigest: string };

function entryOf(content: RequestContent, { claims }: Agent, filed: Filed): EntryFacts {
  const { justification, manifest } = filed.ask;
  return {
    kind: 'requested',
    actor: claims.sub,
    delegatedActor: claims.act?.sub ?? claims.client_id,
    subject: claims.client_id,
    session: content.session,
    tenant: content.tenant,
    environment: content.environment,
    action: content.action,
    resource: content.resource,
    requestId: content.requestId,
    revision: content.revision,
    requestDigest: filed.requestDigest,
    effectClass: manifest.effectClass,
    ...(justification === undefined ? {} : { justification }),
    traceId: filed.traceId,
  };
}

type FiledRequest = Pick<RequestRow, 'id' | 'revision' | 'state'> & {
  requestDigest: string;
  expiresAt: string;
};

function filedOf(row: RequestRow): FiledRequest {
  return { ...row, requestDigest: row.request_digest, expiresAt: row.expires_at.toISOString() };
}

/** A repeated submit gets what the first one got, with the state that the request has by now. */
function answerOf({ id, revision, requestDigest, state, expiresAt }: FiledRequest): Answer {
  const self = `/v1/requests/${id}`;
  return {
    status: finalStates.includes(state) ? 200 : 202,
    requestId: id,
    body: {
      requestId: id,
      revision,
      requestDigest,
      state,
      expiresAt,
      links: { self, wait: `${self}?wait=30s`, result: `${self}/result` },
    },
  };
}
