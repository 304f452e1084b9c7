import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { installTarget, uninstallTarget } from '../../activities/postgres/install-target.ts';
import { readSymmetricKey } from '../identity/symmetric-key.ts';
import { Refusal } from '../refusal.ts';
import type { DataDirectory } from './data-directory.ts';
import { readPrivateFile, writePrivateFile } from './private-file.ts';
import { ensureSymmetricKeys, targetKeyFile } from './symmetric-keys.ts';

/**
 * PostgreSQL targets of the user's own: Firebreak's function is installed there, and the two logins that it made stand
 * in the data directory, each for its domain. The administrator's URL is used for the installation and never kept.
 */
const loginsSchema = z.strictObject({ planner: z.string(), executor: z.string() });
export type TargetLogins = z.infer<typeof loginsSchema>;

const PASSWORD_BYTES = 24;

type OwnTarget = { data: DataDirectory; name: string; adminUrl: string };

/** Safe to call again: the logins get new passwords. @returns sentences about power that could not be taken away. */
export async function installOwnTarget(
  { data, name, adminUrl }: OwnTarget,
  tables: readonly string[] | 'all',
): Promise<string[]> {
  await ensureSymmetricKeys(data, [name]);
  const keyOf = async (domain: 'gate' | 'credentials') =>
    await readSymmetricKey(join(data.keys(domain), targetKeyFile(name)));
  const logins = loginsOf(name);
  const planner = { name: logins.planner, password: randomBytes(PASSWORD_BYTES).toString('hex') };
  const executor = { name: logins.executor, password: randomBytes(PASSWORD_BYTES).toString('hex') };
  const { warnings } = await installTarget({
    adminUrl,
    target: name,
    gateKey: await keyOf('gate'),
    credentialsKey: await keyOf('credentials'),
    plannerLogin: planner,
    executorLogin: executor,
    tables,
  });
  const urls = { planner: urlFor(adminUrl, planner), executor: urlFor(adminUrl, executor) };
  await writePrivateFile(data.target(name), `${JSON.stringify(urls, undefined, 2)}\n`);
  return warnings;
}

export async function uninstallOwnTarget({ data, name, adminUrl }: OwnTarget): Promise<void> {
  const logins = loginsOf(name);
  await uninstallTarget({
    adminUrl,
    plannerLogin: { name: logins.planner },
    executorLogin: { name: logins.executor },
  });
  await rm(data.target(name), { force: true });
}

/** @returns undefined for a target that was not installed from this data directory. */
export async function readTargetLogins(data: DataDirectory, name: string): Promise<TargetLogins | undefined> {
  const text = await readPrivateFile(data.target(name));
  if (text === undefined) return undefined;
  try {
    return loginsSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new Refusal('CONFIG_INVALID', `expected two URLs in ${data.target(name)}`, { cause });
  }
}

/** Roles belong to a whole server: two targets on one server must not share them. */
function loginsOf(name: string): { planner: string; executor: string } {
  const own = name.replaceAll('-', '_');
  return { planner: `firebreak_planner_${own}`, executor: `firebreak_executor_${own}` };
}

/** What is to be installed, for people who are asked first. */
export function installationText(name: string, tables: readonly string[] | 'all'): string[] {
  const { planner, executor } = loginsOf(name);
  const which = tables === 'all' ? 'every table that this login may grant on' : tables.join(', ');
  return [
    'schema firebreak with the function firebreak.perform and the record of its effects; extension pgcrypto',
    `login ${planner}: SELECT on ${which}`,
    `login ${executor}: EXECUTE on firebreak.perform, nothing else`,
    `a role without login that owns the function: SELECT, DELETE, INSERT on ${which}`,
  ];
}

function urlFor(adminUrl: string, { name, password }: { name: string; password: string }): string {
  const url = parseUrl(adminUrl);
  return `${url.scheme}${name}:${password}@${url.rest}`;
}

/** Not by `URL`: a socket's address has no host, which WHATWG URLs do not take together with a password. */
function parseUrl(text: string): { scheme: string; rest: string } {
  const match = /^(postgres(?:ql)?:\/\/)(?:[^@/]*@)?(.*)$/.exec(text);
  const [, scheme, rest] = match ?? [];
  if (scheme === undefined || rest === undefined || rest === '') {
    throw new Refusal('CONFIG_INVALID', 'expected a URL like postgresql://admin:password@host:5432/database');
  }
  return { scheme, rest };
}
