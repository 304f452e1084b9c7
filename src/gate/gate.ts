import type { ActionManifests } from '../action/manifest.ts';
import type { ConsumeCheck } from '../capability/may-consume.ts';
import type { Crash } from '../crash-point.ts';
import type { Database } from '../database/pool.ts';
import type { SigningKey } from '../identity/keys.ts';
import type { TrustedKeys } from '../identity/manifest.ts';
import type { EntryWriter } from '../ledger/entry.ts';
import type { Log } from '../log.ts';
import type { Policy } from '../policy/decide.ts';
import type { Settings } from '../settings.ts';

/** What the last check works with. It mints nothing and reaches no target. */
export type Gate = {
  database: Database;
  keys: TrustedKeys;
  settings: Settings;
  manifests: ActionManifests;
  policy: Policy;
  /** Every check in production; a test asserts that `main/gate` hands all of them. */
  checks: readonly ConsumeCheck[];
  /** Signs receipts. */
  receiptKey: SigningKey;
  /** The gate's half of a target's power; throws where it holds none. */
  targetKey(target: string): Uint8Array;
  writeEntry: EntryWriter;
  /** Milliseconds since the epoch. */
  clock: () => number;
  /** What this gate is configured to be called: proofs of possession are for this address. */
  address: string;
  crash: Crash;
  log: Log;
};
