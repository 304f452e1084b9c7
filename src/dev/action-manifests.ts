import { randomUUID } from 'node:crypto';
import type { ActionDefinition } from '../action/define.ts';
import { type ActionManifest, loadActionManifests } from '../action/manifest.ts';
import { canonicalText } from '../canonical.ts';
import { loadSigningKey } from '../identity/keys.ts';
import type { TrustedKeys } from '../identity/manifest.ts';
import { sign } from '../identity/verify.ts';
import type { DataDirectory } from './data-directory.ts';
import { replaceFile } from './private-file.ts';

type ActionTrust = { definitions: ReadonlyMap<string, ActionDefinition>; keys: TrustedKeys; nowS: number };

/**
 * Signs what the configured definitions say of themselves, again whenever they or the root changed. In production
 * a person who has read the action does this with an offline root.
 */
export async function ensureActionManifests(data: DataDirectory, trust: ActionTrust): Promise<void> {
  const wanted = [...trust.definitions.values()].map(factsOf).toSorted(byName);
  if (canonicalText(wanted) === (await signedFacts(data.actionManifest, trust))) return;
  const key = await loadSigningKey('root', 'action', data.keys('root'));
  const issued = { iss: 'root', iat: trust.nowS };
  const signed = wanted.map(
    async (facts) => await sign(key, 'action', { ...issued, jti: randomUUID(), ...facts }),
  );
  const text = JSON.stringify(await Promise.all(signed), undefined, 2);
  await replaceFile(data.actionManifest, `${text}\n`, 0o644);
}

/** @returns undefined where there is no file whose signatures hold: it is made anew then. */
async function signedFacts(file: string, { keys, nowS }: ActionTrust): Promise<string | undefined> {
  try {
    const manifests = await loadActionManifests(file, { keys, nowS });
    return canonicalText(manifests.all().map(factsOf).toSorted(byName));
  } catch {
    return undefined;
  }
}

function factsOf(action: ActionDefinition | ActionManifest) {
  const { name, schemaVersion, title, effectClass, targetKind, overshoot, longestRunMs } = action;
  return { name, schemaVersion, title, effectClass, targetKind, overshoot: [...overshoot], longestRunMs };
}

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : 1;
}
