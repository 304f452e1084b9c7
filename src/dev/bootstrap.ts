import { loadDefinitions } from '../action/load.ts';
import { ensureNoteKey } from '../ledger/note-key.ts';
import type { Settings } from '../settings.ts';
import { ensureActionManifests } from './action-manifests.ts';
import type { DataDirectory } from './data-directory.ts';
import { DEFAULT_TARGET } from './default-settings.ts';
import { ensureKeyManifest } from './key-manifest.ts';
import { ensureSymmetricKeys } from './symmetric-keys.ts';
import { together } from './together.ts';
import { ensureWorkloads } from './workload-issuer.ts';

/**
 * Makes what a data directory lacks of keys and trust, and leaves what it has: a second run reads the same keys.
 * It refuses keys that took another one's place, and secrets that others may read. The caller holds the lock.
 */
type Bootstrap = {
  /** The pinned hash of the roots. */
  pin: string;
  /** Workload key files of the development issuer, by agent. */
  agents: Record<string, string>;
};

export async function bootstrap(
  data: DataDirectory,
  settings: Settings,
  clock: () => number,
): Promise<Bootstrap> {
  // The demo target is always made, also where the settings no longer name it.
  const targets = new Set([DEFAULT_TARGET, ...settings.targets.map(({ name }) => name)]);
  const [definitions, ledger, agents] = await together([
    loadDefinitions(settings.actions, data.root),
    ensureNoteKey(data.keys('ledger'), ledgerOriginOf(settings.deployment.name)),
    ensureWorkloads(data, settings),
    ensureSymmetricKeys(data, [...targets]),
  ]);
  const { pin, keys } = await ensureKeyManifest(data, ledger);
  const nowS = Math.floor(clock() / 1_000);
  await ensureActionManifests(data, { definitions, keys, nowS });
  return { pin, agents };
}

/** The log's name, for ever: a verifier knows it by this and by its key. */
function ledgerOriginOf(deployment: string): string {
  return `${deployment}.firebreak.local/ledger`;
}
