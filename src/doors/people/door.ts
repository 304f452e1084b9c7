import type { ActionManifests } from '../../action/manifest.ts';
import type { Database } from '../../database/pool.ts';
import type { SigningKey } from '../../identity/keys.ts';
import type { TrustedKeys } from '../../identity/manifest.ts';
import type { EntryWriter } from '../../ledger/entry.ts';
import type { Log } from '../../log.ts';
import type { Settings } from '../../settings.ts';

/** What the people's door works with: it relays votes and tightens; it signs no personal vote and loosens nothing. */
export type PeopleDoor = {
  database: Database;
  settings: Settings;
  manifests: ActionManifests;
  keys: TrustedKeys;
  /** Signs relayed votes. */
  voteKey: SigningKey;
  writeEntry: EntryWriter;
  /** Milliseconds since the epoch. */
  clock: () => number;
  random: (bytes: number) => Buffer;
  log: Log;
};

export type RequestReference = { requestId: string; revision: number };

export function nowS(door: Pick<PeopleDoor, 'clock'>): number {
  return Math.floor(door.clock() / 1_000);
}
