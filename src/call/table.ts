import { z } from 'zod';
import { planBodySchema } from '../action/define.ts';
import type { Domain } from '../domains.ts';
import { digestSchema } from '../identity/claims.ts';
import { publicJwkSchema } from '../identity/keys.ts';

/** Who may call what, and with which data: the only ways from one domain into another one. */
const id = z.string().min(1).max(128);
const token = z.string().min(1).max(65_536);
const request = z.strictObject({ requestId: id, revision: z.int().min(1) });

type Verb<B extends z.ZodType, R extends z.ZodType> = {
  from: readonly Domain[];
  body: B;
  reply: R;
  /** How long the caller waits, milliseconds. */
  timeoutMs: number;
};

const verb = <B extends z.ZodType, R extends z.ZodType>(value: Verb<B, R>): Verb<B, R> => value;

const decided = z.strictObject({
  decision: z.enum(['allow', 'deny', 'requestable']),
  quorum: z.int().min(0),
  groups: z.array(z.string()),
  policyDigest: digestSchema,
  rules: z.array(z.string()),
  reasons: z.array(z.string()),
  /** A refusal code where the decision is deny. */
  code: z.string().nullable(),
});

export const calls = {
  gateway: {},
  people: {
    /** Puts a request before people. Safe to call again: one card for one digest. */
    ask: verb({
      from: ['orchestrator'],
      body: request,
      reply: z.strictObject({ digest: digestSchema, expiresAt: z.iso.datetime() }),
      timeoutMs: 10_000,
    }),
  },
  broker: {
    /** Issues the context token of one accepted request, sealed for broker, planner and executor. */
    context: verb({
      from: ['gateway'],
      body: request.extend({
        accessToken: token,
        txn: id,
        requestDigest: digestSchema,
        expiresAtS: z.int(),
      }),
      reply: z.strictObject({ envelope: token }),
      timeoutMs: 10_000,
    }),
    /** Asks policy on what is known now, signs and stores the decision. */
    decide: verb({
      from: ['orchestrator'],
      body: request.extend({ stage: z.enum(['submit', 'plan']) }),
      reply: decided,
      timeoutMs: 10_000,
    }),
    /** Mints the capability of one attempt; the attempt key is vouched by the executor's call signature. */
    mint: verb({
      from: ['executor'],
      body: request.extend({ context: token, planStatement: token, attemptKey: publicJwkSchema }),
      reply: z.strictObject({ capability: token, digest: digestSchema }),
      timeoutMs: 10_000,
    }),
  },
  gate: {
    /** The point of no return. The same attempt asking again gets the same receipt, until it has expired. */
    consume: verb({
      from: ['executor'],
      body: z.strictObject({ capability: token, proof: token, planStatement: token }),
      reply: z.strictObject({
        receipt: token,
        statement: z.string(),
        gateMac: z.string(),
        votes: z.array(token),
      }),
      timeoutMs: 10_000,
    }),
    /** What really happened to a request, by consumption and signed outcome. */
    settled: verb({
      from: ['orchestrator'],
      body: request,
      reply: z.discriminatedUnion('kind', [
        z.strictObject({ kind: z.literal('not-consumed'), refusal: z.string().nullable() }),
        z.strictObject({ kind: z.literal('applied'), counts: z.record(z.string(), z.int()) }),
        z.strictObject({ kind: z.literal('refused'), code: z.string() }),
        z.strictObject({ kind: z.literal('unknown') }),
      ]),
      timeoutMs: 10_000,
    }),
  },
  credentials: {
    /** Whether a trade could be made now: asked before the point of no return, because the receipt lives for seconds. */
    ready: verb({
      from: ['executor'],
      body: z.strictObject({}),
      reply: z.strictObject({}),
      timeoutMs: 5_000,
    }),
    /** Trades capability, receipt and votes for the second MAC of the target's statement. */
    trade: verb({
      from: ['executor'],
      body: z.strictObject({
        capability: token,
        proof: token,
        receipt: token,
        votes: z.array(token),
        content: z.string(),
        plan: planBodySchema,
        statement: z.string(),
      }),
      reply: z.strictObject({ credentialsMac: z.string() }),
      timeoutMs: 10_000,
    }),
  },
  ledger: {},
  orchestrator: {},
  planner: {
    /** Plans again, read-only, and signs what would change now. */
    plan: verb({
      from: ['executor'],
      body: request,
      reply: z.strictObject({ statement: token, body: planBodySchema }),
      timeoutMs: 60_000,
    }),
  },
  executor: {},
} as const satisfies Record<Domain, Record<string, Verb<z.ZodType, z.ZodType>>>;

export type Calls = typeof calls;
export type VerbOf<D extends Domain> = keyof Calls[D] & string;
type Shape<D extends Domain, V extends VerbOf<D>> =
  Calls[D][V] extends Verb<infer B, infer R> ? { body: z.infer<B>; reply: z.infer<R> } : never;
export type CallBody<D extends Domain, V extends VerbOf<D>> = Shape<D, V>['body'];
export type CallReply<D extends Domain, V extends VerbOf<D>> = Shape<D, V>['reply'];
