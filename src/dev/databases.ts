import { join } from 'node:path';
import { Client } from 'pg';
import { installTarget } from '../../activities/postgres/install-target.ts';
import { migrate } from '../database/migrate.ts';
import { readSymmetricKey } from '../identity/symmetric-key.ts';
import type { Log } from '../log.ts';
import type { DataDirectory } from './data-directory.ts';
import { DEFAULT_TARGET } from './default-settings.ts';
import { type LoginUrl, TARGET_LOGINS } from './domain-environment.ts';
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

/** The shop, and what Firebreak installs in a target; the keys are those of gate and credentials service. */
export async function prepareTarget({ url, secrets, data, log }: TargetOptions): Promise<void> {
  const adminUrl = url(SUPERUSER, secrets.shopSuperuser, DEFAULT_TARGET);
  await createTargetDatabase(url(SUPERUSER, secrets.shopSuperuser, 'postgres'));
  await createShop(adminUrl, log);
  const keyOf = async (domain: 'gate' | 'credentials') =>
    await readSymmetricKey(join(data.keys(domain), targetKeyFile(DEFAULT_TARGET)));
  const { warnings } = await installTarget({
    adminUrl,
    target: DEFAULT_TARGET,
    gateKey: await keyOf('gate'),
    credentialsKey: await keyOf('credentials'),
    plannerLogin: { name: TARGET_LOGINS.planner, password: secrets.targetPlanner },
    executorLogin: { name: TARGET_LOGINS.executor, password: secrets.targetExecutor },
  });
  for (const warning of warnings) log.warn(warning);
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
