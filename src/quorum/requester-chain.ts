import type { Settings } from '../settings.ts';

/** Who asks: the agent, the subject of its session, and whoever acts for that subject. */
export type Requester = { agent: string; sub: string; act: { sub: string } | null };

export type Directory = Pick<Settings, 'people' | 'groups' | 'workloads'>;

/**
 * The persons who stand behind a request: the agent's owner, and whoever `sub` and `act` name. None of them approves
 * it. `unknown` when one of them leads to no person: who cannot be told apart from the requester does not count.
 */
export type RequesterChain =
  | { kind: 'known'; persons: ReadonlySet<string> }
  | { kind: 'unknown'; of: string };

export function requesterChain(requester: Requester, directory: Directory): RequesterChain {
  const persons = new Set<string>();
  const subjects = [`${AGENT}${requester.agent}`, requester.sub, requester.act?.sub];
  for (const subject of subjects) {
    if (subject === undefined) continue;
    const person = personBehind(subject, directory);
    if (person === undefined) return { kind: 'unknown', of: subject };
    persons.add(person);
  }
  return { kind: 'known', persons };
}

/** How sessions spell an agent that is its own subject. */
const AGENT = 'agent:';

function personBehind(subject: string, { people, workloads }: Directory): string | undefined {
  if (!subject.startsWith(AGENT)) return people.find(({ id }) => id === subject)?.id;
  const agent = subject.slice(AGENT.length);
  return workloads.find((workload) => workload.agent === agent)?.owner;
}
