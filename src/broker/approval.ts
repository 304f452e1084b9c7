import { z } from 'zod';
import { digestOf } from '../action/request.ts';
import type { RequestRow } from '../database/requests.ts';
import type { Claims } from '../identity/claims.ts';
import { verify } from '../identity/verify.ts';
import type { PolicyDecision } from '../policy/decide.ts';
import { tally } from '../quorum/tally.ts';
import { Refusal } from '../refusal.ts';
import type { Decider } from './decide.ts';
import type { Subject } from './read-subject.ts';

/**
 * What people said, counted by the broker. The gate counts for itself, from what was signed; this only spares a
 * capability that would open nothing.
 */
type ApprovalFacts = { row: RequestRow; subject: Subject; planHash: string; decision: PolicyDecision };

const askSchema = z.object({ plan_hash: z.string(), expires_at: z.date(), votes: z.array(z.string()) });

/** @returns when the approval ends, Unix seconds. */
export async function readApproval(own: Decider, facts: ApprovalFacts): Promise<{ endS: number }> {
  const { row, planHash, decision } = facts;
  if (decision.quorum === 0) return { endS: Math.floor(row.expires_at.getTime() / 1_000) };
  const [ask] = await own.database.rows(
    askSchema,
    `select a.plan_hash, a.expires_at,
       array(select v.statement from firebreak.vote v
         where v.request_id = a.request_id and v.revision = a.revision order by v.id) as votes
     from firebreak.ask a where a.request_id = $1 and a.revision = $2 order by a.id desc limit 1`,
    [row.id, row.revision],
  );
  if (ask === undefined) throw new Refusal('APPROVAL_MISSING', 'nobody was asked yet');
  if (ask.plan_hash !== planHash) {
    throw new Refusal('PLAN_CHANGED', 'what would change now is not what people were shown');
  }
  if (ask.expires_at.getTime() <= own.clock()) {
    throw new Refusal('APPROVAL_EXPIRED', 'the approval has expired');
  }
  checkVotes(own, facts, await verifyVotes(own, ask.votes));
  return { endS: Math.floor(ask.expires_at.getTime() / 1_000) };
}

async function verifyVotes(own: Decider, statements: readonly string[]): Promise<Claims<'vote'>[]> {
  const nowS = Math.floor(own.clock() / 1_000);
  const trust = { keys: own.keys, nowS, code: 'APPROVAL_MISSING' as const };
  return await Promise.all(statements.map(async (statement) => await verify('vote', statement, trust)));
}

function checkVotes(own: Decider, facts: ApprovalFacts, votes: Claims<'vote'>[]): void {
  const { row, subject, planHash, decision } = facts;
  const { content, agent } = subject;
  const counted = tally({
    votes,
    request: {
      requestId: row.id,
      revision: row.revision,
      digest: digestOf(content, planHash),
      agent,
      sub: content.sub,
      act: content.act,
    },
    quorum: decision.quorum,
    groups: decision.groups,
    policyDigest: decision.policyDigest,
    settings: own.settings,
    nowS: own.clock() / 1_000,
  });
  if (counted.kind === 'denied') throw new Refusal('DENIED', `denied by ${counted.by}`);
  if (counted.kind === 'open') {
    throw new Refusal('APPROVAL_MISSING', `expected ${counted.needed} votes that count, got ${counted.have}`);
  }
}
