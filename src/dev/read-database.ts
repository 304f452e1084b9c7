import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Domain, loginOf } from '../domains.ts';
import { codeOf, Refusal } from '../refusal.ts';
import type { DataDirectory } from './data-directory.ts';
import { lockDataDirectory } from './data-lock.ts';
import { startPostgres, urlOf } from './postgres-server.ts';
import { readIfThere } from './private-file.ts';
import { ensureSecrets } from './secrets.ts';

/** The folder of Firebreak's own databases in a data directory. */
const FOLDER = 'firebreak';

/**
 * Lends the database of a data directory to a command, by one domain's login: that of a running `firebreak dev`, or
 * the same database started for the time of the work. It makes nothing: where there is no database, it refuses.
 */
export async function withOwnDatabase<T>(
  data: DataDirectory,
  domain: Domain,
  work: (url: string) => Promise<T>,
): Promise<T> {
  await checkThere(data);
  const { logins, superuser } = await ensureSecrets(data.secrets);
  const account = { login: loginOf(domain), password: logins[domain], database: 'firebreak' };
  const lock = await lockUnlessInUse(data);
  if (lock === undefined) return await work(urlOf({ ...account, socketDirectory: await socketOf(data) }));
  try {
    const server = await startPostgres({
      directory: data.root,
      name: FOLDER,
      superuserPassword: superuser,
      log: () => undefined,
    });
    try {
      return await work(server.url(account.login, account.password, account.database));
    } finally {
      await server.stop();
    }
  } finally {
    await lock.release();
  }
}

async function checkThere(data: DataDirectory): Promise<void> {
  const there = await Promise.all(
    [join(data.root, FOLDER, 'PG_VERSION'), data.secrets].map(
      async (path) => await stat(path).catch(() => undefined),
    ),
  );
  if (there.includes(undefined)) {
    throw new Refusal(
      'CONFIG_INVALID',
      `${data.root} holds no database of firebreak dev: name another directory with --data`,
    );
  }
}

/** @returns undefined where a running Firebreak holds the directory. */
async function lockUnlessInUse(data: DataDirectory) {
  try {
    return await lockDataDirectory(data.root);
  } catch (error) {
    if (codeOf(error) === 'DATA_IN_USE') return undefined;
    throw error;
  }
}

async function socketOf(data: DataDirectory): Promise<string> {
  const recorded = (await readIfThere(join(data.root, `${FOLDER}.socket`)))?.trim();
  if (recorded === undefined) throw new Refusal('UNAVAILABLE', `the database of ${data.root} is not up yet`);
  return recorded;
}
