import { z } from 'zod';
import { effectClasses } from '../../action/define.ts';
import type { EntryBody } from '../../identity/claims.ts';

/**
 * What the rules need of an entry, by its kind: an entry of one of these kinds that leaves such a member out says too
 * little to be believed. Forms of members were checked with the entry's own schema.
 */
const text = z.string();
const number = z.int();

const context = {
  requestDigest: text.optional(),
  subject: text.optional(),
  session: text.optional(),
  tenant: text.optional(),
  environment: text.optional(),
  action: text.optional(),
  resource: text.optional(),
};

const of = <K extends string>(kind: K) => ({
  kind: z.literal(kind),
  requestId: text,
  revision: number,
  ...context,
});

const outcomes = ['applied', 'refused', 'unknown'] as const;

const tellingSchema = z.discriminatedUnion('kind', [
  z.object({
    ...of('requested'),
    requestDigest: text,
    session: text,
    subject: text,
    actor: text,
    delegatedActor: text,
    effectClass: z.enum(effectClasses),
  }),
  z.object({ ...of('decided'), decision: z.enum(['allow', 'deny', 'requestable']) }),
  z.object({ ...of('planned'), planHash: text, digest: text, overshoot: number.optional() }),
  z.object({ ...of('asked'), planHash: text, digest: text }),
  z.object({
    ...of('voted'),
    digest: text,
    voter: text,
    decision: z.enum(['approve', 'deny']),
    votes: z.array(text).length(1),
  }),
  z.object({ ...of('capability-minted'), capability: text, digest: text, planHash: text }),
  z.object({
    ...of('consumed'),
    capability: text,
    digest: text,
    planHash: text,
    fence: number,
    effectClass: z.enum(effectClasses),
    quorum: number,
    overshoot: number.optional(),
    groups: z.array(text),
    policyDigest: text,
    votes: z.array(text),
  }),
  z.object({ ...of('traded'), capability: text, digest: text, fence: number }),
  z.object({
    ...of('performed'),
    capability: text,
    digest: text,
    fence: number,
    outcome: z.enum(outcomes),
  }),
  z.object({ ...of('ended'), outcome: text }),
  z.object(of('cancelled')),
  z.object({ kind: z.literal('session-revoked'), session: text }),
]);

export type Telling = z.infer<typeof tellingSchema>;
export type TellingKind = Telling['kind'];
export type TellingOf<K extends TellingKind> = Extract<Telling, { kind: K }>;

const kinds = new Set<string>(tellingSchema.options.map(({ shape }) => shape.kind.value));

/** @returns undefined for an entry that no rule is about. Throws where a member is missing. */
export function tellingOf(body: EntryBody): Telling | undefined {
  return kinds.has(body.kind) ? tellingSchema.parse(body) : undefined;
}
