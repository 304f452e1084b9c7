import type { Claims } from '../../identity/claims.ts';
import { refuseVoter } from '../../quorum/electorate.ts';
import { floorOf } from '../../quorum/floor.ts';
import type { OpenRequest } from './history.ts';
import { statementId } from './read-entry.ts';
import { type Rule, type RuleWorld, ruleOfOpen } from './rule.ts';
import type { TellingOf } from './telling.ts';

/**
 * S1: every consumption had its quorum of distinct persons, on this digest, never below the floor of the class that
 * was requested, with one vote more where plan or gate told of something that could happen besides. What the log alone
 * cannot show is that they told of all of it.
 */
type Consumed = TellingOf<'consumed'>;
type Vote = Claims<'vote'>;
type Case = { vote: Vote; consumed: Consumed; request: OpenRequest; world: RuleWorld };

/** How far two hosts' clocks may be apart where the gate still consumes, milliseconds. */
const CLOCKS_APART_MS = 2_000;

/** A vote that one of these is not true of stays evidence and counts for nothing. */
export type VoteCondition = { name: string; holds: (one: Case) => boolean };

export const voteConditions: readonly VoteCondition[] = [
  { name: 'is a yes', holds: ({ vote }) => vote.vote === 'approve' },
  {
    name: 'on this request and digest',
    holds: ({ vote, consumed }) =>
      vote.requestId === consumed.requestId &&
      vote.revision === consumed.revision &&
      vote.digest === consumed.digest,
  },
  {
    name: 'under the policy that was active',
    holds: ({ vote, consumed }) => vote.policyDigest === consumed.policyDigest,
  },
  {
    name: 'in time',
    holds: ({ vote, world }) => vote.notAfter * 1_000 + CLOCKS_APART_MS > world.timeMs,
  },
  {
    name: 'by somebody entitled',
    holds: ({ vote, consumed, request, world }) =>
      world.directory === undefined ||
      refuseVoter(vote.voter, 'approve', {
        directory: world.directory,
        requester: requesterOf(request),
        groups: consumed.groups,
      }) === null,
  },
];

export function quorumRules(conditions: readonly VoteCondition[] = voteConditions): Rule[] {
  return [
    ruleOfOpen({ invariant: 'S1', name: 'one effect class' }, ['consumed'], ({ effectClass }, { facts }) =>
      effectClass === facts.effectClass
        ? null
        : `consumed as ${effectClass}, requested as ${facts.effectClass}`,
    ),
    ruleOfOpen({ invariant: 'S1', name: 'votes were recorded' }, ['consumed'], (consumed, { votes }) => {
      const unknown = consumed.votes.filter((statement) => !votes.has(statementId(statement)));
      return unknown.length === 0 ? null : `consumed by ${unknown.length} votes that nobody cast before`;
    }),
    ruleOfOpen({ invariant: 'S1', name: 'nobody denied' }, ['consumed'], ({ digest }, { votes }) => {
      const no = [...votes.values()].find((vote) => vote.vote === 'deny' && vote.digest === digest);
      return no === undefined ? null : `consumed although ${no.voter} had denied it`;
    }),
    ruleOfOpen({ invariant: 'S1', name: 'quorum' }, ['consumed'], (consumed, request, world) => {
      const floor = floorOf(request.facts.effectClass, overshootOf(consumed, request));
      // Every vote that can be cast yet is relayed: the people domain's word, and no person's own signature.
      if (floor.personal > 0) return `consumed a ${request.facts.effectClass} act without personal votes`;
      const needed = Math.max(floor.relayed, consumed.quorum);
      const voters = new Set(
        votesOf(consumed, request)
          .filter((vote) => conditions.every(({ holds }) => holds({ vote, consumed, request, world })))
          .map(({ voter }) => voter),
      );
      return voters.size >= needed
        ? null
        : `consumed with ${voters.size} persons whose votes count, expected ${needed}`;
    }),
  ];
}

/** The larger one of two words: that of the planner on this plan, and that of the gate. */
function overshootOf({ digest, overshoot = 0 }: Consumed, request: OpenRequest): number {
  return Math.max(overshoot, request.overshoot.get(digest) ?? 0);
}

function votesOf({ votes }: Consumed, request: OpenRequest): Vote[] {
  return votes.flatMap((statement) => request.votes.get(statementId(statement)) ?? []);
}

function requesterOf({ facts }: OpenRequest) {
  const { subject, actor, delegatedActor } = facts;
  return {
    agent: subject,
    sub: actor,
    act: delegatedActor === subject ? null : { sub: delegatedActor },
  };
}
