import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { directory, requester } from '../../test/fixtures/electorate.ts';
import type { Claims } from '../identity/claims.ts';
import { tally } from './tally.ts';

const NOW_S = 1_800_000_000;
const request = { ...requester, requestId: 'req_1', revision: 1, digest: 'd'.repeat(43) };
const policyDigest = 'p'.repeat(43);
const base = { request, quorum: 1, groups: ['operators'], policyDigest, settings: directory, nowS: NOW_S };

function voteOf(voter: string, changes: Partial<Claims<'vote'>> = {}): Claims<'vote'> {
  return {
    iss: 'people',
    iat: NOW_S - 10,
    jti: `vote-of-${voter}`,
    requestId: 'req_1',
    revision: 1,
    vote: 'approve',
    digest: request.digest,
    voter,
    policyDigest,
    notAfter: NOW_S + 60,
    nonce: 'nonce',
    via: 'slack',
    surface: { team: 'T1', user: 'U1', channel: 'C1', message: '1.1' },
    ...changes,
  };
}

test('without votes a request is open, and says how many are missing', () => {
  expect(tally({ ...base, votes: [] })).toEqual({ kind: 'open', have: 0, needed: 1, voters: [] });
});

test('as many distinct persons as the quorum approve', () => {
  expect(tally({ ...base, votes: [voteOf('mia')] })).toEqual({ kind: 'approved', voters: ['mia'] });
  const two = { ...base, quorum: 2 };
  expect(tally({ ...two, votes: [voteOf('mia'), voteOf('paul')] }).kind).toBe('approved');
  expect(tally({ ...two, votes: [voteOf('mia')] })).toMatchObject({ kind: 'open', have: 1, needed: 2 });
});

test('one person counts once, however often and from wherever the votes come', () => {
  const again = voteOf('mia', {
    jti: 'other',
    surface: { team: 'T2', user: 'U9', channel: 'C2', message: '2.2' },
  });
  expect(tally({ ...base, quorum: 2, votes: [voteOf('mia'), again] })).toMatchObject({ have: 1 });
});

test('a deny wins over any number of approvals, in any order, and carries its reason', () => {
  const no = voteOf('paul', { vote: 'deny', reason: 'wrong table' });
  for (const votes of [
    [voteOf('mia'), no],
    [no, voteOf('mia')],
  ]) {
    expect(tally({ ...base, votes })).toEqual({ kind: 'denied', by: 'paul', reason: 'wrong table' });
  }
});

test('a deny stays when its voter has lost the group, or policy has changed', () => {
  const groups = ['security'];
  expect(tally({ ...base, groups, votes: [voteOf('mia', { vote: 'deny' })] }).kind).toBe('denied');
  const older = voteOf('mia', { vote: 'deny', policyDigest: 'o'.repeat(43) });
  expect(tally({ ...base, votes: [older] }).kind).toBe('denied');
});

test.each([
  ['on another request', { requestId: 'req_2' }],
  ['on another revision', { revision: 2 }],
  ['on another digest', { digest: 'e'.repeat(43) }],
])('a vote %s is no vote here, not even a deny', (_name, changes) => {
  expect(tally({ ...base, votes: [voteOf('mia', changes)] })).toMatchObject({ kind: 'open', have: 0 });
  expect(tally({ ...base, votes: [voteOf('mia', { ...changes, vote: 'deny' })] }).kind).toBe('open');
});

test.each([
  ['under an older policy', 'mia', { policyDigest: 'o'.repeat(43) }],
  ['that has just expired', 'mia', { notAfter: NOW_S }],
  ['of somebody outside the groups', 'sam', {}],
  ['of the owner of the agent', 'olga', {}],
  ['of nobody that is known', 'ghost', {}],
])('an approval %s does not count', (_name, voter, changes) => {
  expect(tally({ ...base, votes: [voteOf(voter, changes)] })).toMatchObject({ kind: 'open', have: 0 });
});

test('an approval stops counting when its voter leaves the group', () => {
  const settings = { ...directory, groups: [{ id: 'operators', members: ['olga', 'paul'] }] };
  expect(tally({ ...base, votes: [voteOf('mia')] }).kind).toBe('approved');
  expect(tally({ ...base, settings, votes: [voteOf('mia')] })).toMatchObject({ kind: 'open', have: 0 });
});

test('approved means: at least quorum distinct entitled persons outside the chain, and no deny', () => {
  const person = fc.constantFrom('olga', 'mia', 'paul', 'sam', 'ghost');
  const vote = fc.record({
    voter: person,
    vote: fc.constantFrom<'approve' | 'deny'>('approve', 'approve', 'deny'),
  });
  fc.assert(
    fc.property(fc.array(vote, { maxLength: 8 }), fc.integer({ min: 1, max: 3 }), (casts, quorum) => {
      const votes = casts.map((cast) => voteOf(cast.voter, { vote: cast.vote }));
      const counted = tally({ ...base, quorum, votes });
      const yes = new Set(
        casts.filter((cast) => ['mia', 'paul'].includes(cast.voter)).map((cast) => cast.voter),
      );
      const no = casts.some((cast) => cast.vote === 'deny');
      expect(counted.kind).toBe(no ? 'denied' : yes.size >= quorum ? 'approved' : 'open');
    }),
  );
});
