import { join } from 'node:path';
import { Client } from 'pg';
import { installTarget } from '../../activities/postgres/install-target.ts';
import { migrate } from '../database/migrate.ts';
import { readSymmetricKey } from '../identity/symmetric-key.ts';
import type { Log } from '../log.ts';
import type { DataDirectory } from './data-directory.ts';
import { DEFAULT_TARGET } from './default-settings.ts';
import type { LoginUrl } from './domain-environment.ts';
import type { TargetLogins } from './own-targets.ts';
import { SUPERUSER } from './postgres-server.ts';
import type { Secrets } from './secrets.ts';
import { createShop } from './shop.ts';
import { targetKeyFile } from './symmetric-keys.ts';

/** What the two PostgreSQL servers hold before any domain starts. Safe to run at each start. */

/** @returns the migrations that were applied now. */
export async function prepareOwnDatabase(url: LoginUrl, secrets: Secrets): Promise<string[]> {
  const urlOf = (database: string) => url(SUPERUSER, secrets.superuser, database);
  return await migrate({ urlOf, passwords: secrets.logins });
}

type TargetOptions = { url: LoginUrl; secrets: Secrets; data: DataDirectory; log: Log };
export type PreparedTarget = { adminUrl: string; logins: TargetLogins };

const EMBEDDED_LOGINS = { planner: 'firebreak_planner', executor: 'firebreak_executor' } as const;

/** The shop, and what Firebreak installs in a target; the keys are those of gate and credentials service. */
export async function prepareTarget({ url, secrets, data, log }: TargetOptions): Promise<PreparedTarget> {
  const adminUrl = url(SUPERUSER, secrets.shopSuperuser, DEFAULT_TARGET);
  await createTargetDatabase(url(SUPERUSER, secrets.shopSuperuser, 'postgres'));
  await createShop(adminUrl, log);
  const keyOf = async (domain: 'gate' | 'credentials') =>
    await readSymmetricKey(join(data.keys(domain), targetKeyFile(DEFAULT_TARGET)));
  const planner = { name: EMBEDDED_LOGINS.planner, password: secrets.targetPlanner };
  const executor = { name: EMBEDDED_LOGINS.executor, password: secrets.targetExecutor };
  const { warnings } = await installTarget({
    adminUrl,
    target: DEFAULT_TARGET,
    gateKey: await keyOf('gate'),
    credentialsKey: await keyOf('credentials'),
    plannerLogin: planner,
    executorLogin: executor,
  });
  for (const warning of warnings) log.warn(warning);
  const loginUrl = ({ name, password }: { name: string; password: string }) =>
    url(name, password, DEFAULT_TARGET);
  return { adminUrl, logins: { planner: loginUrl(planner), executor: loginUrl(executor) } };
}

/** The server is the target's alone: the executor's login needs no other database there. */
async function createTargetDatabase(url: string): Promise<void> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const found = await client.query('select from pg_database where datname = $1', [DEFAULT_TARGET]);
    if (found.rowCount === 0) await client.query(`create database ${DEFAULT_TARGET}`);
    await client.query('revoke connect on database postgres from public');
  } finally {
    await client.end();
  }
}
