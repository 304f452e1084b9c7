import { randomUUID } from 'node:crypto';
import type { Claims, EntryBody } from '../identity/claims.ts';
import type { SigningKey } from '../identity/keys.ts';
import { sign } from '../identity/verify.ts';

/** What a caller says of an entry; author, id, version and time are added here. */
export type EntryFacts = Omit<EntryBody, 'iss' | 'id' | 'version' | 'time'>;

export type EntryWriter = (facts: EntryFacts) => Promise<string>;

/** Signs entries as one domain; the caller appends them in the transaction of what they record. */
export function createEntryWriter(key: SigningKey, clock: () => number): EntryWriter {
  return async (facts) => {
    const claims = {
      ...facts,
      iss: key.issuer,
      version: 1,
      id: randomUUID(),
      time: new Date(clock()).toISOString(),
    } as Claims<'entry'>; // `sign` parses it by the schema of entries before it signs.
    return await sign(key, 'entry', claims);
  };
}
