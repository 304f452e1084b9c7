import type { Claims } from '../identity/claims.ts';
import { type Electorate, refuseVoter } from './electorate.ts';
import type { Directory, Requester } from './requester-chain.ts';

type Vote = Claims<'vote'>;

type Counting = {
  /** Verified statements; whose signature nobody checked has no place here. */
  votes: readonly Vote[];
  /** What the votes must be on, from the request's canonical content. */
  request: Requester & { requestId: string; revision: number; digest: string };
  quorum: number;
  groups: readonly string[];
  /** The policy that is active now: a vote under an older one does not count. */
  policyDigest: string;
  settings: Directory;
  nowS: number;
};

export type Tally =
  | { kind: 'open'; have: number; needed: number; voters: string[] }
  | { kind: 'approved'; voters: string[] }
  | { kind: 'denied'; by: string; reason?: string };

/**
 * What the votes say together. A no wins, whenever and by whomever it was cast: its voter was entitled then, and a
 * no is never taken back by losing a role. A yes counts while its voter is entitled, once a person.
 */
export function tally(counting: Counting): Tally {
  const votes = counting.votes.filter((vote) => isOn(vote, counting.request));
  const no = votes.find(({ vote }) => vote === 'deny');
  if (no !== undefined) return denied(no);
  const voters = [...new Set(votes.filter((vote) => counts(vote, counting)).map(({ voter }) => voter))];
  return voters.length >= counting.quorum
    ? { kind: 'approved', voters }
    : { kind: 'open', have: voters.length, needed: counting.quorum, voters };
}

function isOn(vote: Vote, { requestId, revision, digest }: Counting['request']): boolean {
  return vote.requestId === requestId && vote.revision === revision && vote.digest === digest;
}

function denied({ voter, reason }: Vote): Tally {
  return { kind: 'denied', by: voter, ...(reason === undefined ? {} : { reason }) };
}

function counts(vote: Vote, { settings, request, groups, policyDigest, nowS }: Counting): boolean {
  const electorate: Electorate = { directory: settings, requester: request, groups };
  return (
    vote.policyDigest === policyDigest &&
    vote.notAfter > nowS &&
    refuseVoter(vote.voter, 'approve', electorate) === null
  );
}
