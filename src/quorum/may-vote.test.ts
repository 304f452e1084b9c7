import { expect, test } from 'vitest';
import { directory, requester } from '../../test/fixtures/electorate.ts';
import type { RefusalCode } from '../refusal.ts';
import { mayVote, type VoteFacts } from './may-vote.ts';

const NOW_MS = 1_800_000_000_000;
const good: VoteFacts = {
  isOpen: true,
  ask: { digest: 'shown', expiresAtMs: NOW_MS + 1 },
  digest: 'shown',
  person: 'mia',
  choice: 'approve',
  hasVoted: false,
  electorate: { directory, requester, groups: ['operators'] },
  nowMs: NOW_MS,
};

test('an entitled person votes once on what is shown, while it is open', () => {
  expect(mayVote(good)).toBeNull();
  expect(mayVote({ ...good, choice: 'deny' })).toBeNull();
});

const refused: [name: string, code: RefusalCode, changes: Partial<VoteFacts>][] = [
  ['an account without a person', 'UNKNOWN_PERSON', { person: undefined }],
  ['a person who is not configured', 'UNKNOWN_PERSON', { person: 'nobody' }],
  ['a second vote of one person', 'ALREADY_VOTED', { hasVoted: true }],
  ['a vote on a request that has ended', 'REQUEST_CLOSED', { isOpen: false }],
  ['a vote that nobody was asked for', 'VOTE_STALE', { ask: undefined }],
  ['a vote on an older digest', 'VOTE_STALE', { digest: 'older' }],
  ['a vote at the very end', 'APPROVAL_EXPIRED', { ask: { digest: 'shown', expiresAtMs: NOW_MS } }],
  ['a person of another group', 'NOT_ENTITLED', { person: 'sam' }],
  ['the owner of the agent', 'SELF_APPROVAL', { person: 'olga' }],
];
test.each(refused)('%s is refused with %s', (_name, code, changes) => {
  expect(mayVote({ ...good, ...changes })).toMatchObject({ code });
});

test('who clicks twice hears that the first click counted, even when the request has ended meanwhile', () => {
  expect(mayVote({ ...good, hasVoted: true, isOpen: false })).toMatchObject({ code: 'ALREADY_VOTED' });
});

test('a deny follows every rule of state, too', () => {
  expect(mayVote({ ...good, choice: 'deny', isOpen: false })).toMatchObject({ code: 'REQUEST_CLOSED' });
  expect(mayVote({ ...good, choice: 'deny', person: 'sam' })).toMatchObject({ code: 'NOT_ENTITLED' });
  expect(mayVote({ ...good, choice: 'deny', person: 'olga' })).toBeNull();
});
