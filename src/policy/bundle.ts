import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { canonicalDigest } from '../canonical.ts';
import { Refusal } from '../refusal.ts';
import type { PolicyFile } from './position.ts';

/** The policy files of one folder and their digest: equal digests are equal policies, byte for byte. */
export type Bundle = { digest: string; schema: PolicyFile; files: PolicyFile[] };

const SCHEMA = 'schema.cedarschema';
const FILES_MAX = 1_000;

export async function readBundle(directory: string): Promise<Bundle> {
  const names = await policyNames(directory);
  const all: PolicyFile[] = [];
  for (const name of names) all.push(await readPolicyFile(directory, name));
  const schema = all.find(({ name }) => name === SCHEMA);
  if (schema === undefined) throw new Refusal('CONFIG_INVALID', `expected ${SCHEMA} in ${directory}`);
  return { digest: canonicalDigest(all), schema, files: all.filter((file) => file !== schema) };
}

/** Sorted by code unit, so that one bundle has one digest on every system. */
async function policyNames(directory: string): Promise<string[]> {
  const found = (await list(directory)).filter((name) => !name.startsWith('.') && name !== 'README.md');
  // A rule in a misspelt file would be silently absent, and it may be a forbid.
  const stranger = found.find((name) => name !== SCHEMA && !name.endsWith('.cedar'));
  if (stranger !== undefined) {
    throw new Refusal(
      'CONFIG_INVALID',
      `${stranger}: expected only *.cedar, ${SCHEMA} and README.md in ${directory}`,
    );
  }
  if (found.length > FILES_MAX) {
    throw new Refusal('CONFIG_INVALID', `expected at most ${FILES_MAX} files in ${directory}`);
  }
  return found.sort();
}

async function list(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (cause) {
    throw new Refusal('CONFIG_INVALID', `expected a folder of policies at ${directory}`, { cause });
  }
}

async function readPolicyFile(directory: string, name: string): Promise<PolicyFile> {
  try {
    const bytes = await readFile(join(directory, name));
    // Fatal and with its byte order mark: two different files never read as one text.
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return { name, text };
  } catch (cause) {
    throw new Refusal('CONFIG_INVALID', `${name}: expected a file of UTF-8 text`, { cause });
  }
}
