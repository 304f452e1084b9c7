import type { Directory } from '../../quorum/requester-chain.ts';
import type { Invariant } from './breach.ts';
import type { History, OpenRequest, RequestHistory } from './history.ts';
import type { VoteStatement } from './read-entry.ts';
import type { Telling, TellingKind, TellingOf } from './telling.ts';

/** One thing that an entry must not say after the entries before it. */
export type Rule = {
  invariant: Invariant;
  name: string;
  /** @returns null where this rule has nothing against the entry, else what is wrong, as a sentence. */
  refuse: (telling: Telling, world: RuleWorld) => string | null;
};

export type RuleWorld = {
  history: History;
  /** The entry's own request, as far as the log has told of it. */
  request: RequestHistory | undefined;
  /** The author's clock. */
  timeMs: number;
  /** The vote that a `voted` entry records, verified. */
  vote: VoteStatement | undefined;
  /** People, groups and owners to hold voters against; absent where nobody handed any. */
  directory: Directory | undefined;
};

type Named = { invariant: Invariant; name: string };

/** A rule about entries of some kinds. */
export function rule<K extends TellingKind>(
  named: Named,
  on: readonly K[],
  refuse: (telling: TellingOf<K>, world: RuleWorld) => string | null,
): Rule {
  const kinds: readonly string[] = on;
  return {
    ...named,
    refuse: (telling, world) =>
      // The kind is one of K: TypeScript cannot follow a look into a list.
      kinds.includes(telling.kind) ? refuse(telling as TellingOf<K>, world) : null,
  };
}

/** The same where the entry's request is open; what entries of other requests may say, other rules hold. */
export function ruleOfOpen<K extends TellingKind>(
  named: Named,
  on: readonly K[],
  refuse: (telling: TellingOf<K>, request: OpenRequest, world: RuleWorld) => string | null,
): Rule {
  return rule(named, on, (telling, world) =>
    world.request?.kind === 'open' ? refuse(telling, world.request, world) : null,
  );
}
