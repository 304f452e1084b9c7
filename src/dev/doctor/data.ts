import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { loadActionManifests } from '../../action/manifest.ts';
import { domains } from '../../domains.ts';
import { kindsSignedBy, loadSigningKey } from '../../identity/keys.ts';
import { loadManifest, type TrustedKeys } from '../../identity/manifest.ts';
import { codeOf } from '../../refusal.ts';
import { readSettings, type Settings } from '../../settings.ts';
import type { DataDirectory } from '../data-directory.ts';
import { lockDataDirectory } from '../data-lock.ts';
import { examine, Fault, type Finding, NOT_MADE } from './finding.ts';
import { nearestExisting } from './machine.ts';

/** What stands in a data directory: whether it can be used, its settings, its secrets and whom they trust. */
const OTHERS = 0o077;

export type DataState = { findings: Finding[]; settings: Settings | undefined; inUse: boolean };

export async function examineData(data: DataDirectory): Promise<DataState> {
  const isThere = await exists(data.root);
  let settings: Settings | undefined;
  let inUse = false;
  const directory = await examine('data directory', 'choose another directory with --data', async () => {
    await nearestExisting(data.root);
    if (!isThere) return NOT_MADE;
    const user = await userOf(data.root);
    inUse = user !== undefined;
    return user ?? `${data.root}, not in use`;
  });
  const file = await examine('settings', `edit ${data.settings}`, async () => {
    if (!(await exists(data.settings))) return NOT_MADE;
    settings = await readSettings(data.settings);
    return `${data.settings}, deployment ${settings.deployment.name}`;
  });
  const secrets = await examine(
    'secrets',
    'restore them from a backup',
    async () => await checkSecrets(data),
  );
  const trust = await examine('trust', 'restore keys/ and trust/ from one backup', async () => {
    return await checkTrust(data);
  });
  return { findings: [directory, file, secrets, trust], settings, inUse };
}

/** @returns who uses it, where somebody does. */
async function userOf(root: string): Promise<string | undefined> {
  try {
    await (await lockDataDirectory(root)).release();
    return undefined;
  } catch (error) {
    if (codeOf(error) !== 'DATA_IN_USE' || !(error instanceof Error)) throw error;
    return error.message.replace(/: .*$/, '');
  }
}

async function checkSecrets(data: DataDirectory): Promise<string> {
  const files = [...(await filesIn(join(data.root, 'keys'))), ...(await filesIn(join(data.root, 'agents')))];
  if (await exists(data.secrets)) files.push(data.secrets);
  if (files.length === 0) return NOT_MADE;
  const open: string[] = [];
  for (const file of files) if (((await stat(file)).mode & OTHERS) !== 0) open.push(file);
  const [first] = open;
  if (first === undefined) return `${files.length} files, each for its owner alone`;
  throw new Fault(
    `${open.length} of ${files.length} files may be read by others, first ${first}`,
    `chmod 600 ${open.slice(0, 3).join(' ')}, and treat as known what stood in them`,
  );
}

async function filesIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

async function checkTrust(data: DataDirectory): Promise<string> {
  if (!(await exists(data.keyManifest))) return NOT_MADE;
  const keys = await loadManifest(data.keyManifest, (await readFile(data.pin, 'utf8')).trim());
  const count = await checkKeys(data, keys);
  const nowS = Math.floor(Date.now() / 1_000);
  const actions = (await loadActionManifests(data.actionManifest, { keys, nowS })).all();
  return `${count} keys and ${actions.length} actions, signed by the pinned root`;
}

/** A key that took another one's place signs what nobody believes: said here instead of by every other domain. */
async function checkKeys(data: DataDirectory, trusted: TrustedKeys): Promise<number> {
  let count = 0;
  for (const domain of domains) {
    for (const kind of kindsSignedBy(domain)) {
      const { kid } = await loadSigningKey(domain, kind, data.keys(domain));
      if (trusted.find(kind, kid)?.issuer !== domain) {
        throw new Fault(
          `the ${kind} key of ${domain} is not the one in the key manifest`,
          `restore ${data.keys(domain)} and ${data.keyManifest} from one backup`,
        );
      }
      count += 1;
    }
  }
  return count;
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
