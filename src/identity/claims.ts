import { z } from 'zod';
import { effectClasses } from '../action/define.ts';
import type { Domain } from '../domains.ts';
import { domains } from '../domains.ts';

/**
 * Every signed object of Firebreak: who may sign it, how long it may live, and which claims it carries.
 * One key per (domain, kind), ES256; a token of one kind can never pass as another one, because kinds differ in
 * `typ`, in key and in claims (RFC 8725 3.11, 3.12).
 */

/** Tokens live for seconds; statements are evidence and stay. */
const seconds = z.int().min(0);
const identifier = z.string().min(1).max(256);
const hash = z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'expected base64url of 32 bytes');

/** RFC 8693 4.1: who acts for `sub`; only the outermost one is decided on. */
const actor = z.strictObject({ sub: identifier });

const issued = { iss: identifier, iat: seconds, jti: identifier };
const expiring = { ...issued, exp: seconds };

const requestReference = { requestId: identifier, revision: z.int().min(1) };
const sessionFacts = {
  sid: identifier,
  epoch: z.int().min(0),
  sub: identifier,
  act: actor.optional(),
  tenant: identifier,
  environment: identifier,
};

export const digestSchema = hash;

const call = z.strictObject({
  ...expiring,
  aud: z.enum(domains),
  htm: z.literal('POST'),
  htu: z.string().max(512),
  bodyHash: hash,
});

/** RFC 9068 with RFC 9449 `cnf`; `client_id` is the agent. */
const access = z.strictObject({
  ...expiring,
  ...sessionFacts,
  aud: z.string(),
  client_id: identifier,
  agentClass: identifier,
  purpose: identifier,
  risk: z.enum(['low', 'medium', 'high']),
  scope: z.string(),
  cnf: z.strictObject({ jkt: hash }),
});

/** Rides through Temporal, proves the context of one accepted request, grants nothing. */
const context = z.strictObject({
  ...expiring,
  ...sessionFacts,
  ...requestReference,
  aud: z.literal('firebreak'),
  txn: identifier,
  scope: z.string(),
  requestDigest: hash,
});

/** RFC 9396 2: exactly one object, one action on one identifier, bound to one digest. */
const authorizationDetail = z.strictObject({
  type: z.literal('firebreak_action'),
  actions: z.array(identifier).length(1),
  identifier,
  digest: hash,
  schemaVersion: z.int().min(1),
  ...requestReference,
});

const capability = z.strictObject({
  ...expiring,
  ...sessionFacts,
  nbf: seconds,
  aud: z.string(),
  client_id: identifier,
  txn: identifier,
  cnf: z.strictObject({ jkt: hash }),
  authorization_details: z.array(authorizationDetail).length(1),
  planHash: hash,
  policyDigest: hash,
  rules: z.array(identifier),
});

const receipt = z.strictObject({
  ...expiring,
  ...requestReference,
  aud: z.literal('credentials'),
  capability: z.strictObject({ iss: identifier, jti: identifier }),
  cnf: z.strictObject({ jkt: hash }),
  digest: hash,
  effectKey: identifier,
  fence: z.int().min(1),
  target: identifier,
  statementHash: hash,
});

/** A relayed vote: the people domain's word for a person's click. */
const vote = z.strictObject({
  ...issued,
  ...requestReference,
  vote: z.enum(['approve', 'deny']),
  digest: hash,
  voter: identifier,
  policyDigest: hash,
  notAfter: seconds,
  nonce: identifier,
  via: z.enum(['slack']),
  /** The surface's own account of the click, for whoever investigates later. */
  surface: z.strictObject({ team: identifier, user: identifier, channel: identifier, message: identifier }),
  reason: z.string().max(500).optional(),
});

const plan = z.strictObject({
  ...issued,
  ...requestReference,
  requestDigest: hash,
  planHash: hash,
  target: identifier,
  counts: z.record(z.string(), z.int().min(0)),
});

const obligations = z.strictObject({
  /** Votes needed; never below the floor of the effect class. */
  quorum: z.int().min(0).max(10),
  /** Groups whose members may vote. */
  groups: z.array(identifier),
});

const decision = z.strictObject({
  ...issued,
  ...requestReference,
  stage: z.enum(['submit', 'plan', 'mint']),
  requestDigest: hash,
  planHash: hash.optional(),
  decision: z.enum(['allow', 'deny', 'requestable']),
  obligations,
  policyDigest: hash,
  /** Ids of the policies that decided. */
  rules: z.array(identifier),
  reasons: z.array(z.string().max(500)),
});

const outcome = z.strictObject({
  ...issued,
  ...requestReference,
  digest: hash,
  effectKey: identifier,
  fence: z.int().min(1),
  outcome: z.enum(['applied', 'refused', 'unknown']),
  code: z.string().max(64).optional(),
  counts: z.record(z.string(), z.int().min(0)),
});

/** The signed action manifest: what gate and credentials service know of an action without running its code. */
const action = z.strictObject({
  ...issued,
  name: identifier,
  schemaVersion: z.int().min(1),
  title: z.string(),
  effectClass: z.enum(effectClasses),
  targetKind: z.enum(['postgres']),
  overshoot: z.array(z.string()),
  longestRunMs: z.int().min(1),
});

const text = z.string().max(4_096);

/** One ledger record; `author` and `kind` are checked again by the database against the login that appends. */
const entry = z.strictObject({
  iss: z.enum(domains),
  version: z.literal(1),
  id: z.uuid(),
  /** RFC 3339 UTC, milliseconds, by the author's clock. */
  time: z.iso.datetime({ precision: 3 }),
  kind: z.string().regex(/^[a-z][a-z-]{2,40}$/),
  actor: identifier.optional(),
  delegatedActor: identifier.optional(),
  subject: identifier.optional(),
  session: identifier.optional(),
  tenant: identifier.optional(),
  environment: identifier.optional(),
  action: identifier.optional(),
  resource: text.optional(),
  requestId: identifier.optional(),
  revision: z.int().min(1).optional(),
  requestDigest: hash.optional(),
  digest: hash.optional(),
  planHash: hash.optional(),
  stage: identifier.optional(),
  decision: identifier.optional(),
  effectClass: z.enum(effectClasses).optional(),
  quorum: z.int().min(0).optional(),
  /** How many things the act could do beyond its plan. */
  overshoot: z.int().min(0).optional(),
  groups: z.array(identifier).optional(),
  policyDigest: hash.optional(),
  rules: z.array(identifier).optional(),
  justification: text.optional(),
  voter: identifier.optional(),
  votes: z.array(z.string()).optional(),
  capability: identifier.optional(),
  fence: z.int().min(1).optional(),
  outcome: identifier.optional(),
  code: identifier.optional(),
  counts: z.record(z.string(), z.int().min(0)).optional(),
  cardHash: hash.optional(),
  traceId: identifier.optional(),
  cause: text.optional(),
});
export type EntryBody = z.infer<typeof entry>;

export const ACCESS_TOKEN_LIFETIME_S = 3_600;
export const CAPABILITY_LIFETIME_S = 120;
export const RECEIPT_LIFETIME_S = 10;
export const CALL_LIFETIME_S = 10;
const CONTEXT_LIFETIME_S = 30 * 24 * 3_600;

type Rule<S extends z.ZodType> = {
  typ: string;
  /** The one domain whose key may sign this kind; null where every domain signs with a key of its own. */
  signer: Domain | 'root' | null;
  /** Longest `exp - iat`, seconds; null for statements that are evidence and do not expire. */
  lifetimeMaxS: number | null;
  claims: S;
};

const rule = <S extends z.ZodType>(value: Rule<S>): Rule<S> => value;

export const kinds = {
  call: rule({ typ: 'firebreak-call+jwt', signer: null, lifetimeMaxS: CALL_LIFETIME_S, claims: call }),
  access: rule({ typ: 'at+jwt', signer: 'broker', lifetimeMaxS: ACCESS_TOKEN_LIFETIME_S, claims: access }),
  context: rule({
    typ: 'firebreak-ctx+jwt',
    signer: 'broker',
    lifetimeMaxS: CONTEXT_LIFETIME_S,
    claims: context,
  }),
  capability: rule({
    typ: 'firebreak-cap+jwt',
    signer: 'broker',
    lifetimeMaxS: CAPABILITY_LIFETIME_S,
    claims: capability,
  }),
  receipt: rule({
    typ: 'firebreak-receipt+jwt',
    signer: 'gate',
    lifetimeMaxS: RECEIPT_LIFETIME_S,
    claims: receipt,
  }),
  vote: rule({ typ: 'firebreak-vote+jwt', signer: 'people', lifetimeMaxS: null, claims: vote }),
  plan: rule({ typ: 'firebreak-plan+jwt', signer: 'planner', lifetimeMaxS: null, claims: plan }),
  decision: rule({ typ: 'firebreak-decision+jwt', signer: 'broker', lifetimeMaxS: null, claims: decision }),
  outcome: rule({ typ: 'firebreak-outcome+jwt', signer: 'executor', lifetimeMaxS: null, claims: outcome }),
  entry: rule({ typ: 'firebreak-entry+jwt', signer: null, lifetimeMaxS: null, claims: entry }),
  action: rule({ typ: 'firebreak-action+jwt', signer: 'root', lifetimeMaxS: null, claims: action }),
  /** The key manifest itself; its form is checked where it is loaded. */
  keys: rule({ typ: 'firebreak-keys+jwt', signer: 'root', lifetimeMaxS: null, claims: z.json() }),
} as const;

export type Kind = keyof typeof kinds;
export type Claims<K extends Kind> = z.infer<(typeof kinds)[K]['claims']>;
