import type { ActionDefinition } from '../../action/define.ts';
import type { ActionManifests } from '../../action/manifest.ts';
import type { Caller } from '../../call/call.ts';
import type { EntryWriter } from '../../ledger/entry.ts';
import type { Log } from '../../log.ts';
import type { Settings } from '../../settings.ts';
import type { Authentication } from './authenticate.ts';
import type { Watchers } from './watchers.ts';

/** What the agents' door works with; it may file and show requests, and nothing else. */
export type Door = Authentication & {
  settings: Settings;
  definitions: ReadonlyMap<string, ActionDefinition>;
  manifests: ActionManifests;
  caller: Caller;
  writeEntry: EntryWriter;
  watchers: Watchers;
  /** Opens results that executors sealed. */
  resultKey: Uint8Array;
  random: (bytes: number) => Buffer;
  log: Log;
  /** Names of what is not ready. */
  missing: () => Promise<string[]>;
};
