import { type Choice, type Electorate, type No, refuseVoter } from './electorate.ts';

/** The newest ask of a request: exactly what people were shown, and until when they may answer. */
export type AskFacts = { digest: string; expiresAtMs: number };

export type VoteFacts = {
  /** False once the request has ended, or its capability was consumed. */
  isOpen: boolean;
  ask: AskFacts | undefined;
  /** The digest on the card that was answered. */
  digest: string;
  /** Undefined where the surface's account leads to no person. */
  person: string | undefined;
  choice: Choice;
  /** On this very digest. */
  hasVoted: boolean;
  electorate: Electorate;
  nowMs: number;
};

/** The rule of one vote. @returns null where it counts, else the first reason why it does not. */
export function mayVote(facts: VoteFacts): No | null {
  return (
    refuseUnknown(facts) ??
    refuseSecond(facts) ??
    refuseClosed(facts) ??
    refuseStale(facts) ??
    refuseExpired(facts) ??
    refuseVoter(facts.person ?? '', facts.choice, facts.electorate)
  );
}

function refuseUnknown({ person }: VoteFacts): No | null {
  return person === undefined
    ? { code: 'UNKNOWN_PERSON', message: 'no person is known by this account' }
    : null;
}

/** First of the answers about state: who clicks twice wants to hear that the first click counted. */
function refuseSecond({ hasVoted }: VoteFacts): No | null {
  return hasVoted ? { code: 'ALREADY_VOTED', message: 'your vote on this request already counted' } : null;
}

function refuseClosed({ isOpen }: VoteFacts): No | null {
  return isOpen ? null : { code: 'REQUEST_CLOSED', message: 'request takes no votes any more' };
}

function refuseStale({ ask, digest }: VoteFacts): No | null {
  return ask?.digest === digest
    ? null
    : { code: 'VOTE_STALE', message: 'request has changed since this card; answer the newest one' };
}

function refuseExpired({ ask, nowMs }: VoteFacts): No | null {
  return ask !== undefined && ask.expiresAtMs > nowMs
    ? null
    : { code: 'APPROVAL_EXPIRED', message: 'the time for approval is over' };
}
