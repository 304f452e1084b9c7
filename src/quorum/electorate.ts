import type { RefusalCode } from '../refusal.ts';
import { type Directory, type Requester, requesterChain } from './requester-chain.ts';

/** Who may vote on one request: members of the asked groups, outside the requester's chain. */
export type Electorate = { directory: Directory; requester: Requester; groups: readonly string[] };

export type Choice = 'approve' | 'deny';

/** Why not, for the person who is refused. */
export type No = { code: RefusalCode; message: string };

/** @returns null for a person who is entitled to this choice now. */
export function refuseVoter(person: string, choice: Choice, electorate: Electorate): No | null {
  if (!electorate.directory.people.some(({ id }) => id === person)) {
    return { code: 'UNKNOWN_PERSON', message: 'no person is known by this account' };
  }
  return refuseRequester(person, choice, electorate) ?? refuseStranger(person, electorate);
}

/** The persons who could approve now. */
export function electorsOf(electorate: Electorate): string[] {
  return electorate.directory.people
    .map(({ id }) => id)
    .filter((id) => refuseVoter(id, 'approve', electorate) === null);
}

/** The groups through which a person is asked: the card's *why you*. */
export function groupsOf(person: string, { directory, groups }: Omit<Electorate, 'requester'>): string[] {
  return directory.groups
    .filter(({ id, members }) => groups.includes(id) && members.includes(person))
    .map(({ id }) => id);
}

/** R3: a no tightens, and whoever answers for an agent may always say it. */
function refuseRequester(person: string, choice: Choice, electorate: Electorate): No | null {
  if (choice === 'deny') return null;
  const chain = requesterChain(electorate.requester, electorate.directory);
  if (chain.kind === 'unknown') {
    return { code: 'WORKLOAD_UNKNOWN', message: `no person answers for ${chain.of}, so nobody can approve` };
  }
  return chain.persons.has(person)
    ? { code: 'SELF_APPROVAL', message: 'you stand behind this request, so your approval cannot count' }
    : null;
}

function refuseStranger(person: string, electorate: Electorate): No | null {
  return groupsOf(person, electorate).length > 0
    ? null
    : { code: 'NOT_ENTITLED', message: `expected a member of ${electorate.groups.join(' or ')}` };
}
