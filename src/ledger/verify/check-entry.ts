import type { Directory } from '../../quorum/requester-chain.ts';
import type { Breach } from './breach.ts';
import { createHistory, remember, requestOf } from './history.ts';
import { effectRules, powerRules, requestRules } from './order-rules.ts';
import { quorumRules } from './quorum-rules.ts';
import type { EntryRead } from './read-entry.ts';
import type { Rule } from './rule.ts';

/** The whole list, in the order in which they are asked. */
export const rules: readonly Rule[] = [...requestRules, ...powerRules, ...quorumRules(), ...effectRules];

export type EntryCheckOptions = {
  /** Absent: who may vote is not judged. */
  directory?: Directory | undefined;
  /** The whole list unless a test takes one out. */
  rules?: readonly Rule[];
};

/** Entries one by one, in the order of the log. @returns null where no rule has anything against an entry. */
export function createEntryCheck(options: EntryCheckOptions): (entry: EntryRead) => Breach | null {
  const history = createHistory();
  const asked = options.rules ?? rules;
  return (entry) => {
    const { telling, body, vote, leafIndex } = entry;
    if (telling === undefined) return null;
    const world = {
      history,
      request: requestOf(history, telling),
      timeMs: Date.parse(body.time),
      vote,
      directory: options.directory,
    };
    for (const { invariant, refuse } of asked) {
      const sentence = refuse(telling, world);
      if (sentence !== null) {
        return { invariant, leafIndex, requestId: body.requestId ?? null, sentence };
      }
    }
    remember(history, entry);
    return null;
  };
}
