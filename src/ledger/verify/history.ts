import type { Claims } from '../../identity/claims.ts';
import type { EntryRead } from './read-entry.ts';
import type { Telling, TellingOf } from './telling.ts';

/**
 * What a reader must remember of the entries before, to judge the next one. An open request is remembered with its
 * plans, votes and capabilities; of an ended one, with nothing in flight, its end alone.
 */
export type History = {
  requests: Map<string, RequestHistory>;
  /** Capabilities, over all requests. */
  spent: Set<string>;
  revokedSessions: Set<string>;
};

export type RequestHistory = OpenRequest | { kind: 'closed'; end: string; isApplied: boolean };

export type Attempt = { digest: string; fence: number; outcome: string | null };

export type OpenRequest = {
  kind: 'open';
  facts: TellingOf<'requested'>;
  /** The newest one of the broker. */
  decision: 'allow' | 'deny' | 'requestable' | null;
  /** Digest → plan hash, of each plan. */
  planned: Map<string, string>;
  /** Digest → how many things that plan said could happen besides. */
  overshoot: Map<string, number>;
  /** Digest → plan hash, of each card. */
  asked: Map<string, string>;
  /** By the id of the statement. */
  votes: Map<string, Claims<'vote'>>;
  minted: Map<string, { digest: string; planHash: string }>;
  consumed: Map<string, Attempt>;
  isApplied: boolean;
  end: string | null;
};

/** Ends that nothing leaves any more (S10). */
export const finalEnds: ReadonlySet<string> = new Set(['done', 'denied', 'expired', 'cancelled', 'failed']);

export function createHistory(): History {
  return { requests: new Map(), spent: new Set(), revokedSessions: new Set() };
}

export function requestOf(history: History, telling: Telling): RequestHistory | undefined {
  return 'requestId' in telling ? history.requests.get(telling.requestId) : undefined;
}

/** After the rules have agreed to an entry: what it changes. */
export function remember(history: History, { telling, vote }: EntryRead): void {
  if (telling === undefined) return;
  if (telling.kind === 'session-revoked') {
    history.revokedSessions.add(telling.session);
    return;
  }
  if (telling.kind === 'requested') {
    history.requests.set(telling.requestId, openRequest(telling));
    return;
  }
  if (telling.kind === 'consumed') history.spent.add(telling.capability);
  const request = requestOf(history, telling);
  if (request?.kind !== 'open') return;
  if (vote !== undefined) request.votes.set(vote.id, vote.claims);
  note(request, telling);
  close(history, telling.requestId, request);
}

function openRequest(facts: TellingOf<'requested'>): OpenRequest {
  return {
    kind: 'open',
    facts,
    decision: null,
    planned: new Map(),
    overshoot: new Map(),
    asked: new Map(),
    votes: new Map(),
    minted: new Map(),
    consumed: new Map(),
    isApplied: false,
    end: null,
  };
}

function note(request: OpenRequest, telling: Telling): void {
  switch (telling.kind) {
    case 'decided':
      request.decision = telling.decision;
      break;
    case 'planned':
      request.planned.set(telling.digest, telling.planHash);
      request.overshoot.set(telling.digest, telling.overshoot ?? 0);
      break;
    case 'asked':
      request.asked.set(telling.digest, telling.planHash);
      break;
    case 'capability-minted':
      request.minted.set(telling.capability, { digest: telling.digest, planHash: telling.planHash });
      break;
    case 'consumed':
      request.consumed.set(telling.capability, {
        digest: telling.digest,
        fence: telling.fence,
        outcome: null,
      });
      break;
    case 'performed':
      notePerformed(request, telling);
      break;
    case 'ended':
      request.end = telling.outcome;
      break;
    case 'cancelled':
      request.end = telling.kind;
      break;
    case 'requested':
    case 'voted':
    case 'traded':
    case 'session-revoked':
      break;
  }
}

function notePerformed(request: OpenRequest, { capability, outcome }: TellingOf<'performed'>): void {
  const attempt = request.consumed.get(capability);
  if (attempt !== undefined) attempt.outcome = outcome;
  if (outcome === 'applied') request.isApplied = true;
}

/** An attempt without outcome may still be performed: such a request stays open, however it ended. */
function close(history: History, requestId: string, { end, consumed, isApplied }: OpenRequest): void {
  if (end === null || !finalEnds.has(end)) return;
  const isInFlight = [...consumed.values()].some(({ outcome }) => outcome === null);
  if (!isInFlight) history.requests.set(requestId, { kind: 'closed', end, isApplied });
}
