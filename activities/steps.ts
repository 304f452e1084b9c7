import { z } from 'zod';
import type { Caller } from '../src/call/call.ts';
import type { CallReply } from '../src/call/table.ts';
import type { Database } from '../src/database/pool.ts';
import { readContent } from '../src/database/request-content.ts';
import { requestFacts } from '../src/database/request-facts.ts';
import {
  findRequest,
  type RequestRow,
  type RequestState,
  storedRequestSchema,
} from '../src/database/requests.ts';
import type { TrustedKeys } from '../src/identity/manifest.ts';
import { verify } from '../src/identity/verify.ts';
import type { EntryWriter } from '../src/ledger/entry.ts';
import { tally } from '../src/quorum/tally.ts';
import { codeOf, Refusal } from '../src/refusal.ts';
import type { Settings } from '../src/settings.ts';

/**
 * The orchestrator's plain calls. Each may run twice and asks the store again when it does; none of them holds
 * power: what they say only moves the workflow on, and the gate believes none of it.
 */
export type RequestReference = { requestId: string; revision: number };

/** How a request ends, for its row, its entry and the workflow's result. */
export type Verdict = {
  state: Extract<RequestState, 'done' | 'denied' | 'expired' | 'cancelled' | 'failed' | 'indeterminate'>;
  code: string | null;
  detail?: Record<string, string | number>;
};

export type Steps = {
  decide(step: RequestReference & { stage: 'submit' | 'plan' }): Promise<{
    decision: 'allow' | 'deny' | 'requestable';
    verdict: Verdict | null;
  }>;
  ask(
    step: RequestReference,
  ): Promise<{ digest: string; expiresAtMs: number; verdict: null } | { verdict: Verdict }>;
  look(
    step: RequestReference & { digest: string },
  ): Promise<{ kind: 'open' } | { kind: 'approved' } | { kind: 'ended'; verdict: Verdict }>;
  /** What really happened, and where that ends the request, its end recorded. */
  settle(step: RequestReference): Promise<{ verdict: Verdict | null; isRecorded?: boolean }>;
  end(step: RequestReference & Verdict): Promise<void>;
};

type Collaborators = {
  caller: Caller;
  database: Database;
  keys: TrustedKeys;
  settings: Settings;
  writeEntry: EntryWriter;
  clock: () => number;
};

export function createSteps(own: Collaborators): Steps {
  return {
    async decide({ requestId, revision, stage }) {
      const said = await own.caller.call('broker', 'decide', { requestId, revision, stage });
      const verdict: Verdict | null =
        said.decision === 'deny'
          ? {
              state: 'denied',
              code: said.code ?? 'POLICY_DENIED',
              detail: { reason: said.reasons.join('; ') },
            }
          : null;
      return { decision: said.decision, verdict };
    },
    async ask(reference) {
      try {
        const { digest, expiresAt } = await own.caller.call('people', 'ask', reference);
        await setState(own, reference, { state: 'waiting', detail: { digest } });
        return { digest, expiresAtMs: Date.parse(expiresAt), verdict: null };
      } catch (error) {
        return { verdict: verdictOfRefusal(error) };
      }
    },
    look: async (step) => await lookAtVotes(own, step),
    async settle(reference) {
      const [settled, row] = await Promise.all([
        own.caller.call('gate', 'settled', reference),
        findRequest(own.database, reference.requestId),
      ]);
      const verdict = verdictOfSettled(settled);
      if (verdict === null) return { verdict };
      await recordEnd(own, row, verdict);
      return { verdict, isRecorded: true };
    },
    async end({ requestId, revision: _revision, ...verdict }) {
      await recordEnd(own, await findRequest(own.database, requestId), verdict);
    },
  };
}

function verdictOfSettled(settled: CallReply<'gate', 'settled'>): Verdict | null {
  switch (settled.kind) {
    case 'not-consumed':
      return null;
    case 'applied':
      return { state: 'done', code: null, detail: settled.counts };
    case 'refused':
      return { state: 'failed', code: settled.code };
    case 'unknown':
      return { state: 'indeterminate', code: 'RECEIPT_EXPIRED' };
  }
}

async function recordEnd(own: Collaborators, row: RequestRow, verdict: Verdict): Promise<void> {
  const entry = await own.writeEntry({
    kind: 'ended',
    ...requestFacts(row),
    outcome: verdict.state,
    ...(verdict.code === null ? {} : { code: verdict.code }),
  });
  await own.database.run('select firebreak.set_request_state($1, $2, $3, $4)', [
    row.id,
    verdict.state,
    { code: verdict.code, ...verdict.detail },
    entry,
  ]);
}

const seenSchema = z.object({
  request: storedRequestSchema,
  ask: z
    .object({ policy_digest: z.string(), quorum: z.int(), groups: z.array(z.string()), expired: z.boolean() })
    .nullable(),
  votes: z.array(z.string()),
});

/** The request, what people were shown of it last, and what they said to that, in one statement. */
const SEEN = `
  select to_jsonb(r.*) as request,
    (select jsonb_build_object('policy_digest', a.policy_digest, 'quorum', a.quorum, 'groups', a.groups,
        'expired', a.expires_at <= clock_timestamp())
      from firebreak.ask a where a.request_id = r.id and a.revision = $2 and a.digest = $3
      order by a.id desc limit 1) as ask,
    array(select v.statement from firebreak.vote v
      where v.request_id = r.id and v.revision = $2 and v.digest = $3 order by v.id) as votes
  from firebreak.request r where r.id = $1`;

async function lookAtVotes(own: Collaborators, step: RequestReference & { digest: string }) {
  const [seen] = await own.database.rows(seenSchema, SEEN, [step.requestId, step.revision, step.digest]);
  if (seen === undefined) throw new Refusal('UNKNOWN_REQUEST', `no request is called ${step.requestId}`);
  const { request: row, ask } = seen;
  if (row.state === 'cancelled') return ended({ state: 'cancelled', code: null });
  if (ask === null) throw new Refusal('UNAVAILABLE', 'expected the ask that people were shown');
  const content = readContent(row);
  const nowS = Math.floor(own.clock() / 1_000);
  const votes = await Promise.all(
    seen.votes.map(async (statement) => await verify('vote', statement, { keys: own.keys, nowS })),
  );
  const counted = tally({
    votes,
    settings: own.settings,
    request: { ...step, agent: row.agent, sub: content.sub, act: content.act },
    quorum: ask.quorum,
    groups: ask.groups,
    policyDigest: ask.policy_digest,
    nowS,
  });
  if (counted.kind === 'denied') {
    return ended({
      state: 'denied',
      code: 'DENIED',
      detail: { by: counted.by, reason: counted.reason ?? '' },
    });
  }
  if (ask.expired) return ended({ state: 'expired', code: 'APPROVAL_EXPIRED' });
  return counted.kind === 'approved' ? { kind: 'approved' as const } : { kind: 'open' as const };
}

function ended(verdict: Verdict) {
  return { kind: 'ended' as const, verdict };
}

/** A refusal of ours ends the request; all else is tried again by Temporal. */
function verdictOfRefusal(error: unknown): Verdict {
  const code = codeOf(error);
  if (!(error instanceof Refusal) || code === 'UNAVAILABLE' || code === 'INTERNAL') throw error;
  return { state: 'denied', code, detail: { reason: error.message } };
}

async function setState(
  own: Collaborators,
  { requestId }: RequestReference,
  change: { state: RequestState; detail: Record<string, string> },
): Promise<void> {
  await own.database.run('select firebreak.set_request_state($1, $2, $3, null)', [
    requestId,
    change.state,
    change.detail,
  ]);
}
