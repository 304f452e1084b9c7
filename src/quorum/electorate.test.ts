import { expect, test } from 'vitest';
import { directory, requester } from '../../test/fixtures/electorate.ts';
import { electorsOf, groupsOf, refuseVoter } from './electorate.ts';

const groups = ['operators'];
const electorate = { directory, requester, groups };

test('a member of an asked group may approve, everybody else may not', () => {
  expect(refuseVoter('mia', 'approve', electorate)).toBeNull();
  expect(refuseVoter('sam', 'approve', electorate)).toMatchObject({ code: 'NOT_ENTITLED' });
  expect(refuseVoter('sam', 'approve', { ...electorate, groups: ['security'] })).toBeNull();
});

test('who is no person may not vote, however much the id looks like one', () => {
  for (const person of ['', 'Mia', 'mia ', 'mіa', '__proto__', 'agent:cleaner']) {
    expect(refuseVoter(person, 'approve', electorate)).toMatchObject({ code: 'UNKNOWN_PERSON' });
  }
});

test('the owner of the agent may not approve and may deny', () => {
  expect(refuseVoter('olga', 'approve', electorate)).toMatchObject({ code: 'SELF_APPROVAL' });
  expect(refuseVoter('olga', 'deny', electorate)).toBeNull();
});

test('subject and actor of the session may not approve', () => {
  const onBehalf = { ...requester, sub: 'mia' };
  expect(refuseVoter('mia', 'approve', { ...electorate, requester: onBehalf })).toMatchObject({
    code: 'SELF_APPROVAL',
  });
  const acting = { ...requester, act: { sub: 'mia' } };
  expect(refuseVoter('mia', 'approve', { ...electorate, requester: acting })).toMatchObject({
    code: 'SELF_APPROVAL',
  });
  const actingAgent = { ...requester, act: { sub: 'agent:reporter' } };
  expect(refuseVoter('paul', 'approve', { ...electorate, requester: actingAgent })).toMatchObject({
    code: 'SELF_APPROVAL',
  });
});

test('nobody approves where a subject leads to no person, and anybody entitled may deny', () => {
  for (const unknown of [
    { ...requester, sub: 'https://issuer.test/users/7' },
    { ...requester, agent: 'nobodys' },
    { ...requester, act: { sub: 'agent:gone' } },
  ]) {
    expect(refuseVoter('mia', 'approve', { ...electorate, requester: unknown })).toMatchObject({
      code: 'WORKLOAD_UNKNOWN',
    });
    expect(electorsOf({ ...electorate, requester: unknown })).toEqual([]);
    expect(refuseVoter('mia', 'deny', { ...electorate, requester: unknown })).toBeNull();
  }
});

test('electors are the members of the asked groups without the requester chain, each once', () => {
  expect(electorsOf(electorate)).toEqual(['mia', 'paul']);
  expect(electorsOf({ ...electorate, groups: ['operators', 'security'] })).toEqual(['mia', 'paul', 'sam']);
  expect(electorsOf({ ...electorate, groups: ['no-such-group'] })).toEqual([]);
});

test('why you names the groups through which a person is asked', () => {
  expect(groupsOf('paul', { directory, groups: ['operators', 'security'] })).toEqual([
    'operators',
    'security',
  ]);
  expect(groupsOf('mia', { directory, groups: ['operators', 'security'] })).toEqual(['operators']);
});
