import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Database } from '../../database/pool.ts';
import { readContent } from '../../database/request-content.ts';
import {
  findRequest,
  type RequestRow,
  requestRowSchema,
  storedRequestSchema,
} from '../../database/requests.ts';
import type { Claims } from '../../identity/claims.ts';
import { sign } from '../../identity/verify.ts';
import type { EntryFacts } from '../../ledger/entry.ts';
import type { Choice } from '../../quorum/electorate.ts';
import { mayVote } from '../../quorum/may-vote.ts';
import { codeOf, Refusal, refusals } from '../../refusal.ts';
import { nowS, type PeopleDoor, type RequestReference } from './door.ts';
import { electorateOf } from './judged.ts';

/** One person's answer to one card, as its surface verified it. */
export type Answer = RequestReference & {
  digest: string;
  /** The person behind the account; undefined where none is known. */
  person: string | undefined;
  choice: Choice;
  reason?: string;
  surface: Claims<'vote'>['surface'];
};

const NONCE_BYTES = 16;

/**
 * Counts an answer: a signed statement in a durable row, with its entry, before anybody hears of it. It refuses what
 * `mayVote` refuses, and says so in the ledger. The same answer again is `ALREADY_VOTED` and changes nothing.
 */
export async function castVote(door: PeopleDoor, answer: Answer): Promise<Claims<'vote'>> {
  return await recordingRefusals(door, answer, async () => {
    return await door.database.transaction(async (tx) => {
      const facts = await readFacts({ ...door, database: tx }, answer);
      const vote = voteOf(door, answer, admit(door, answer, facts));
      const statement = await sign(door.voteKey, 'vote', vote);
      const entry = await door.writeEntry(entryOf(facts.row, answer, { kind: 'voted', votes: [statement] }));
      await store(tx, { statement, entry, row: facts.row });
      return vote;
    });
  });
}

/** Whether an answer would count now; for a surface that asks for more before it casts. */
export async function checkVote(door: PeopleDoor, answer: Answer): Promise<void> {
  await recordingRefusals(door, answer, async () => {
    admit(door, answer, await readFacts(door, answer));
  });
}

type Admitted = { person: string; ask: Ask };

function admit(door: PeopleDoor, { digest, person, choice }: Answer, facts: Facts): Admitted {
  const { row, ask, isOpen, hasVoted } = facts;
  const no = mayVote({
    isOpen,
    ask: ask === undefined ? undefined : { digest: ask.digest, expiresAtMs: ask.expires_at.getTime() },
    digest,
    person,
    choice,
    hasVoted,
    electorate: electorateOf(door, { row, content: readContent(row) }, ask?.groups ?? []),
    nowMs: door.clock(),
  });
  if (no !== null) throw new Refusal(no.code, no.message);
  if (person === undefined || ask === undefined)
    throw new Refusal('INTERNAL', 'expected a person and an ask');
  return { person, ask };
}

const askSchema = z.object({
  digest: z.string(),
  policy_digest: z.string(),
  groups: z.array(z.string()),
  expires_at: z.coerce.date(),
});
type Ask = z.infer<typeof askSchema>;
type Facts = { row: RequestRow; ask: Ask | undefined; isOpen: boolean; hasVoted: boolean };

const factsSchema = z.object({
  request: storedRequestSchema,
  ask: askSchema.nullable(),
  voted: z.boolean(),
  consumed: z.boolean(),
});

/** The request, what people were shown of it last, whether this answer was given before, whether it was used. */
const FACTS = `
  select to_jsonb(r.*) as request,
    (select to_jsonb(a.*) from firebreak.ask a
      where a.request_id = r.id and a.revision = $2 order by a.id desc limit 1) as ask,
    exists (select from firebreak.vote v where v.request_id = r.id and v.revision = $2 and v.digest = $3
      and v.voter = $4 and v.choice in ($5, 'deny')) as voted,
    exists (select from firebreak.consumption c where c.effect_key = r.id) as consumed
  from firebreak.request r where r.id = $1`;

async function readFacts({ database }: PeopleDoor, answer: Answer): Promise<Facts> {
  const { requestId, revision, digest, person, choice } = answer;
  const values = [requestId, revision, digest, person ?? '', choice];
  const [facts] = await database.rows(factsSchema, FACTS, values);
  if (facts === undefined) throw new Refusal('UNKNOWN_REQUEST', `no request is called ${requestId}`);
  const { request: row, ask, voted, consumed } = facts;
  return {
    row,
    ask: ask ?? undefined,
    isOpen: row.revision === revision && takesVotes(row.state) && !consumed,
    hasVoted: voted,
  };
}

function takesVotes(state: RequestRow['state']): boolean {
  return state === 'accepted' || state === 'waiting';
}

function voteOf(door: PeopleDoor, answer: Answer, { person, ask }: Admitted): Claims<'vote'> {
  const { requestId, revision, digest, choice, reason, surface } = answer;
  return {
    iss: door.voteKey.issuer,
    iat: nowS(door),
    jti: randomUUID(),
    requestId,
    revision,
    vote: choice,
    digest,
    voter: person,
    policyDigest: ask.policy_digest,
    notAfter: Math.floor(ask.expires_at.getTime() / 1_000),
    nonce: door.random(NONCE_BYTES).toString('base64url'),
    via: 'slack',
    surface,
    ...(reason === undefined ? {} : { reason }),
  };
}

const castSchema = z.object({ cast: z.boolean() });
const openSchema = requestRowSchema.pick({ state: true }).extend({ consumed: z.boolean() });

async function store(
  tx: Database,
  vote: { statement: string; entry: string; row: RequestRow },
): Promise<void> {
  const [stored] = await tx.rows(castSchema, 'select firebreak.cast_vote($1, $2) as cast', [
    vote.statement,
    vote.entry,
  ]);
  if (stored?.cast !== true) {
    throw new Refusal('ALREADY_VOTED', 'your vote on this request already counted');
  }
  // Casting took the authority row, which every ending and every consumption takes too: what is read now stays.
  const [now] = await tx.rows(
    openSchema,
    `select state, exists (select from firebreak.consumption where effect_key = r.id) as consumed
     from firebreak.request r where id = $1`,
    [vote.row.id],
  );
  if (now === undefined || !takesVotes(now.state) || now.consumed) {
    throw new Refusal('REQUEST_CLOSED', 'request takes no votes any more');
  }
}

/** A no of ours leaves an entry; trouble below it does not, because the same answer may still count. */
export async function recordingRefusals<T>(
  door: PeopleDoor,
  answer: Answer,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = codeOf(error);
    if (refusals[code].status < 500 && code !== 'UNKNOWN_REQUEST') await recordRefusal(door, answer, code);
    throw error;
  }
}

async function recordRefusal(door: PeopleDoor, answer: Answer, code: string): Promise<void> {
  try {
    const row = await findRequest(door.database, answer.requestId);
    const entry = await door.writeEntry(entryOf(row, answer, { kind: 'vote-refused', code }));
    await door.database.run('select firebreak.append_entry($1)', [entry]);
  } catch (error) {
    // The refusal stands and is told; only its trace is missing, and the log says so.
    door.log.error({ err: error, requestId: answer.requestId, code }, 'refused vote has no entry');
  }
}

function entryOf(
  row: RequestRow,
  { requestId, revision, digest, person, choice, surface }: Answer,
  facts: Pick<EntryFacts, 'kind' | 'votes' | 'code'>,
): EntryFacts {
  const voter = person ?? `slack:${surface.team}/${surface.user}`;
  return {
    actor: voter,
    voter,
    subject: row.agent,
    session: row.session_id,
    tenant: row.tenant,
    environment: row.environment,
    action: row.action,
    resource: row.resource,
    requestId,
    revision,
    requestDigest: row.request_digest,
    digest,
    decision: choice,
    traceId: row.trace_id,
    ...facts,
  };
}
