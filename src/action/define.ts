import { z } from 'zod';
import type { Json } from '../canonical.ts';

/**
 * What an action is: a definition (form, effect class, plan) and an effect (what is done), in two files.
 * Definitions load in gateway and planner, effects in executors; gate and credentials service run neither
 * and read the signed action manifest instead, so that the last check runs no strangers' code.
 */
export const effectClasses = [
  'read',
  'reversible',
  'irreversible',
  'export',
  'privilege',
  'cross-tenant',
] as const;
export type EffectClass = (typeof effectClasses)[number];

/** One line of a card: what is asked or what would change, already text. */
export const factLineSchema = z.strictObject({ label: z.string(), value: z.string() });
export type FactLine = z.infer<typeof factLineSchema>;

const OVERSHOOTS_MAX = 50;
const OVERSHOOT_CHARACTERS_MAX = 500;

/**
 * What would change now. Holds no time, LSN or estimate: equal state gives an equal body, and its hash is in
 * the digest that people approve. `effects` goes verbatim into the statement that the target executes.
 */
export const planBodySchema = z.strictObject({
  version: z.literal(1),
  summary: z.array(factLineSchema).max(50),
  counts: z.record(z.string(), z.int().min(0)),
  undo: z.enum(['kept', 'none']),
  /** What may happen beyond `effects`, as words after "Could also", one sentence each: costs one more vote. */
  overshoot: z.array(z.string().min(1).max(OVERSHOOT_CHARACTERS_MAX)).max(OVERSHOOTS_MAX).default([]),
  effects: z.json(),
});
export type PlanBody = z.infer<typeof planBodySchema>;

/** A read-only look at one PostgreSQL target: one snapshot, a login that may only select. */
export type PostgresReader = {
  kind: 'postgres';
  target: string;
  /** @param name of a text that never changes: a target plans it once a connection, and not at each look. */
  query(text: string, values?: readonly unknown[], name?: string): Promise<Record<string, unknown>[]>;
};

export type ActionDefinition<Input = unknown> = {
  /** `family.noun.verb`, e.g. `postgres.rows.delete`. */
  name: string;
  schemaVersion: number;
  title: string;
  effectClass: EffectClass;
  targetKind: 'postgres';
  /** What the borrowed credential could do beyond the digest, one sentence each; empty is zero overshoot. */
  overshoot: readonly string[];
  /** The longest that performing may take, milliseconds. */
  longestRunMs: number;
  input: z.ZodType<Input>;
  /** The configured target that this input names. */
  target(input: Input): string;
  /** What is touched, as policy and people name it, e.g. `shop/public.orders`. */
  resource(input: Input): string;
  /** Everything of the input as card lines; nothing is left out. */
  describe(input: Input): FactLine[];
  /** Read-only. Throws PLAN_UNSUPPORTED for what cannot be planned exactly. */
  plan(input: Input, reader: PostgresReader): Promise<PlanBody>;
  /** What takes a done request of this action back, where its plan says that undo is kept: a request of its own. */
  undo?: { action: string; input(requestId: string, input: Input): unknown };
};

/** Checked once at load, so that a bad definition refuses to start instead of failing at three in the morning. */
export function defineAction<Input>(definition: ActionDefinition<Input>): ActionDefinition<Input> {
  return definition;
}

/** What the target is told to do: RFC 8785 text, authorised by two MACs over exactly these bytes. */
export type Statement = {
  version: 1;
  target: string;
  digest: string;
  effectKey: string;
  fence: number;
  /** RFC 3339 UTC, milliseconds. */
  notAfter: string;
  effects: Json;
};

/** The act's borrowed credential: HMAC-SHA-256, base64url, by gate and credentials service. */
export type BorrowedCredential = { statement: string; gateMac: string; credentialsMac: string };

export const effectResultSchema = z.strictObject({
  counts: z.record(z.string(), z.int().min(0)),
  /** The target's own record already held this effect key and digest: nothing was done again. */
  repeated: z.boolean(),
  /** What was read: sealed beside the request for its agent, and never in a history, an entry or a log. */
  rows: z.json().optional(),
});
export type EffectResult = z.infer<typeof effectResultSchema>;

export type ActionEffect = {
  /** The name of the definition that this effect performs. */
  action: string;
  /** Called at most once per attempt. Safe to repeat: the target is unique on the effect key. */
  perform(credential: BorrowedCredential, targetUrl: string): Promise<EffectResult>;
};

export function defineEffect(effect: ActionEffect): ActionEffect {
  return effect;
}
