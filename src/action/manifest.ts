import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { Claims } from '../identity/claims.ts';
import type { TrustedKeys } from '../identity/manifest.ts';
import { verify } from '../identity/verify.ts';
import { Refusal } from '../refusal.ts';

/** The signed manifests of all actions: a JSON array of compact JWS, signed by a root, read by every domain. */
const fileSchema = z.array(z.string()).max(1_000);

export type ActionManifest = Claims<'action'>;
export type ActionManifests = { find(name: string): ActionManifest; all(): ActionManifest[] };

export async function loadActionManifests(
  file: string,
  trust: { keys: TrustedKeys; nowS: number },
): Promise<ActionManifests> {
  const byName = new Map<string, ActionManifest>();
  for (const token of fileSchema.parse(JSON.parse(await readFile(file, 'utf8')))) {
    const manifest = await verify('action', token, { ...trust, code: 'CONFIG_INVALID' });
    if (byName.has(manifest.name)) {
      throw new Refusal('CONFIG_INVALID', `action ${manifest.name} stands twice in the action manifest`);
    }
    byName.set(manifest.name, manifest);
  }
  return {
    find(name) {
      const manifest = byName.get(name);
      if (manifest === undefined) throw new Refusal('UNKNOWN_ACTION', `no action is called ${name}`);
      return manifest;
    },
    all: () => [...byName.values()],
  };
}
