import { setTimeout as pause } from 'node:timers/promises';
import type { JWK } from 'jose';
import { z } from 'zod';
import { requestStates } from '../database/requests.ts';
import { createProof } from '../identity/dpop.ts';
import { importPrivate, publicJwkSchema } from '../identity/keys.ts';
import { codeOf, isRefusalCode, Refusal } from '../refusal.ts';

/** An agent's own side of the agents' door: a session's access token, and the key that it is bound to. */
export type AgentClient = {
  submit(ask: AskBody | string, options?: SubmitOptions): Promise<Submitted>;
  show(requestId: string, waitS?: number): Promise<RequestView>;
  /** Follows a request until it ends or is indeterminate, or for the given time. */
  waitFor(requestId: string, options?: WaitOptions): Promise<RequestView>;
  list(limit?: number): Promise<RequestListed[]>;
  result(requestId: string): Promise<unknown>;
  /** Nothing of the request can be done afterwards. */
  cancel(requestId: string): Promise<RequestView>;
  /** Submits the request that takes this one back; the same one again while that is open. */
  undo(requestId: string): Promise<Submitted>;
  actions(): Promise<unknown>;
};

export type AskBody = { action: string; input: unknown; justification?: string; changeTicket?: string };
export type SubmitOptions = { idempotencyKey?: string | undefined; traceparent?: string };
export type WaitOptions = {
  timeoutMs?: number;
  onState?: (view: RequestView) => void;
  /** Stops waiting before the end. */
  until?: (view: RequestView) => boolean;
};

const submittedSchema = z.object({
  requestId: z.string(),
  revision: z.int(),
  requestDigest: z.string(),
  state: z.enum(requestStates),
  expiresAt: z.string(),
});
export type Submitted = z.infer<typeof submittedSchema>;

const listedSchema = z.object({
  requestId: z.string(),
  revision: z.int(),
  action: z.string(),
  resource: z.string(),
  state: z.enum(requestStates),
  final: z.boolean(),
  createdAt: z.string(),
  expiresAt: z.string(),
});
export type RequestListed = z.infer<typeof listedSchema>;

const viewSchema = listedSchema.extend({
  requestDigest: z.string(),
  digest: z.string().optional(),
  detail: z.record(z.string(), z.unknown()),
  approvals: z
    .object({ needed: z.int(), have: z.int(), groups: z.array(z.string()), expiresAt: z.string() })
    .optional(),
  /** When it came into its state. */
  stateAt: z.string(),
  traceId: z.string(),
});
export type RequestView = z.infer<typeof viewSchema>;

/** Added to the longest wait that a call asks for, milliseconds. */
const ANSWER_TIMEOUT_MS = 20_000;
const LONG_POLL_S = 30;
const RETRY_PAUSE_MS = 1_000;
/** Requests never outlive their session, which lives for a week at most. */
const WAIT_MAX_MS = 7 * 24 * 3_600_000;

type Call = {
  method: 'GET' | 'POST';
  path: string;
  body?: string;
  headers?: Record<string, string>;
  waitS?: number;
};
type Send = <S extends z.ZodType>(answer: S, call: Call) => Promise<z.infer<S>>;

export function createAgentClient(own: Own): AgentClient {
  const send: Send = async (answer, call) => await sendSigned(own, answer, call);
  const show = async (requestId: string, waitS = 0) => {
    const path = `/v1/requests/${encodeURIComponent(requestId)}?wait=${waitS}s`;
    return await send(viewSchema, { method: 'GET', path, waitS });
  };
  return {
    submit: async (ask, options = {}) => await submit(send, ask, options),
    show,
    waitFor: async (requestId, options = {}) => await waitFor(show, requestId, options),
    async list(limit = 20) {
      const path = `/v1/requests?limit=${limit}`;
      return (await send(z.object({ requests: z.array(listedSchema) }), { method: 'GET', path })).requests;
    },
    async result(requestId) {
      const path = `/v1/requests/${encodeURIComponent(requestId)}/result`;
      return (await send(z.object({ result: z.unknown() }), { method: 'GET', path })).result;
    },
    cancel: async (requestId) => {
      const path = `/v1/requests/${encodeURIComponent(requestId)}/cancel`;
      return await send(viewSchema, { method: 'POST', path });
    },
    undo: async (requestId) => {
      const path = `/v1/requests/${encodeURIComponent(requestId)}/undo`;
      return await send(submittedSchema, { method: 'POST', path });
    },
    actions: async () => await send(z.unknown(), { method: 'GET', path: '/v1/actions' }),
  };
}

/** @param ask JSON text is sent as it is, so that the door sees its faults and no parser here hides them. */
async function submit(send: Send, ask: AskBody | string, options: SubmitOptions): Promise<Submitted> {
  const { idempotencyKey, traceparent } = options;
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (idempotencyKey !== undefined) headers['idempotency-key'] = idempotencyKey;
  if (traceparent !== undefined) headers['traceparent'] = traceparent;
  const body = typeof ask === 'string' ? ask : JSON.stringify(ask);
  return await send(submittedSchema, { method: 'POST', path: '/v1/requests', body, headers });
}

type Show = (requestId: string, waitS: number) => Promise<RequestView>;

async function waitFor(show: Show, requestId: string, options: WaitOptions): Promise<RequestView> {
  const deadline = performance.now() + (options.timeoutMs ?? WAIT_MAX_MS);
  let view = await show(requestId, 0);
  options.onState?.(view);
  while (!view.final && view.state !== 'indeterminate' && options.until?.(view) !== true) {
    const leftS = Math.floor((deadline - performance.now()) / 1_000);
    if (leftS < 1) break;
    const next = await showWhenThere(show, requestId, Math.min(leftS, LONG_POLL_S));
    if (next === undefined) continue;
    if (next.state !== view.state) options.onState?.(next);
    view = next;
  }
  return view;
}

/** A door that is away comes back; the request goes on without it and without us. */
async function showWhenThere(show: Show, requestId: string, waitS: number): Promise<RequestView | undefined> {
  try {
    return await show(requestId, waitS);
  } catch (error) {
    if (codeOf(error) !== 'UNAVAILABLE') throw error;
    await pause(RETRY_PAUSE_MS);
    return undefined;
  }
}

type Own = { origin: string; session: { accessToken: string }; key: JWK };

async function sendSigned<S extends z.ZodType>(own: Own, answer: S, call: Call): Promise<z.infer<S>> {
  const url = `${own.origin}${call.path}`;
  const { accessToken } = own.session;
  const { kty, crv, x, y } = own.key;
  const proof = await createProof(importPrivate(own.key), publicJwkSchema.parse({ kty, crv, x, y }), {
    method: call.method,
    url,
    accessToken,
    nowS: Math.floor(Date.now() / 1_000),
  });
  const init = {
    method: call.method,
    headers: { ...call.headers, authorization: `DPoP ${accessToken}`, dpop: proof },
    ...(call.body === undefined ? {} : { body: call.body }),
    signal: AbortSignal.timeout((call.waitS ?? 0) * 1_000 + ANSWER_TIMEOUT_MS),
  };
  return await readAnswer(answer, own.origin, async () => await fetch(url, { ...init, redirect: 'error' }));
}

const problemSchema = z.object({
  code: z.string(),
  detail: z.string().optional(),
  error_description: z.string().optional(),
  details: z.unknown().optional(),
});

/** A door's answer, or its refusal under the door's own code. */
export async function readAnswer<S extends z.ZodType>(
  schema: S,
  origin: string,
  ask: () => Promise<Response>,
): Promise<z.infer<S>> {
  const { ok, status, body } = await reach(origin, ask);
  if (!ok) throw refusalOf(origin, status, body);
  const answer = schema.safeParse(body);
  if (answer.success) return answer.data;
  throw new Refusal('UNAVAILABLE', `${origin} answered in another form than expected`, {
    cause: answer.error,
  });
}

async function reach(origin: string, ask: () => Promise<Response>) {
  try {
    const response = await ask();
    const body: unknown = await response.json();
    return { ok: response.ok, status: response.status, body };
  } catch (cause) {
    throw new Refusal('UNAVAILABLE', `${origin} cannot be reached`, { cause });
  }
}

function refusalOf(origin: string, status: number, body: unknown): Refusal {
  const problem = problemSchema.safeParse(body);
  if (!problem.success || !isRefusalCode(problem.data.code)) {
    return new Refusal('UNAVAILABLE', `${origin} answered ${status} without a known code`);
  }
  const { code, detail, error_description, details } = problem.data;
  return new Refusal(code, detail ?? error_description ?? 'the door refused', { details });
}
