import { finalStates, findRequest, type RequestRow } from '../../database/requests.ts';
import type { Claims } from '../../identity/claims.ts';
import { electorsOf } from '../../quorum/electorate.ts';
import { tally } from '../../quorum/tally.ts';
import { Refusal } from '../../refusal.ts';
import { type Card, countText } from './card.ts';
import type { CardState } from './card-state.ts';
import { nowS, type PeopleDoor } from './door.ts';
import { cardOf, electorateOf, findAskedPlan, type Judged, nameOf, readJudged } from './judged.ts';
import type { Notice } from './notices.ts';
import { readVotes } from './votes.ts';

/** What a notice should show now: the card as it was recorded, and where its request stands. */
export type View = { card: Card; state: CardState; isFinal: boolean };

export async function readView(door: PeopleDoor, notice: Notice): Promise<View> {
  const row = await findRequest(door.database, notice.request_id);
  const { revision, plan_hash: planHash, digest } = notice;
  const judged = readJudged(
    door,
    row,
    await findAskedPlan(door.database, { requestId: row.id, revision, planHash }),
  );
  const card = cardOf(door, judged, { ...notice, expiresAt: notice.expires_at });
  // The ledger holds this hash: a card that says something else is not shown.
  if (judged.digest !== digest || card.cardHash !== notice.card_hash) {
    throw new Refusal('DIGEST_MISMATCH', 'card differs from the one that was recorded');
  }
  const votes = await readVotes(door, { requestId: row.id, revision, digest });
  const state = stateOf(door, notice, { judged, votes });
  return { card, state, isFinal: finalStates.includes(row.state) || !notice.newest };
}

type Seen = { judged: Judged; votes: Claims<'vote'>[] };

function stateOf(door: PeopleDoor, notice: Notice, { judged, votes }: Seen): CardState {
  if (!notice.newest) return { kind: 'replaced' };
  const ended = endedState(door, judged.row);
  if (ended !== null) return ended;
  const electorate = electorateOf(door, judged, notice.groups);
  const counted = tally({
    votes,
    settings: door.settings,
    request: {
      ...electorate.requester,
      requestId: judged.row.id,
      revision: notice.revision,
      digest: notice.digest,
    },
    quorum: notice.quorum,
    groups: notice.groups,
    policyDigest: notice.policy_digest,
    nowS: nowS(door),
  });
  const names = (persons: readonly string[]) => persons.map((person) => nameOf(door, person));
  if (counted.kind === 'denied') {
    return { kind: 'denied', by: nameOf(door, counted.by), reason: counted.reason ?? null };
  }
  if (counted.kind === 'approved') return { kind: 'approved', approvedBy: names(counted.voters) };
  if (notice.expires_at.getTime() <= door.clock()) return { kind: 'expired' };
  const still = electorsOf(electorate).filter((person) => !counted.voters.includes(person));
  return {
    kind: 'waiting',
    approvedBy: names(counted.voters),
    needed: counted.needed,
    stillAsked: names(still),
  };
}

function endedState(door: PeopleDoor, { state, state_detail }: RequestRow): CardState | null {
  if (state === 'accepted' || state === 'waiting' || state === 'performing') return null;
  return { kind: 'ended', state, detail: detailText(door, state_detail) };
}

/** Counts first, then who and why; everything else of a detail is for machines. */
function detailText(door: PeopleDoor, detail: RequestRow['state_detail']): string {
  const { by, reason, code } = detail;
  const counts = Object.entries(detail).flatMap(([noun, value]) =>
    typeof value === 'number' ? [countText(value, noun)] : [],
  );
  return [
    ...counts,
    ...(typeof by === 'string' ? [`by ${nameOf(door, by)}`] : []),
    ...(typeof reason === 'string' && reason !== '' ? [reason] : []),
    ...(typeof code === 'string' ? [code] : []),
  ].join(', ');
}
