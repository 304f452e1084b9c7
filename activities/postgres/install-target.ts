import { Client, DatabaseError } from 'pg';
import { Refusal } from '../../src/refusal.ts';
import { schemaSql } from './install-schema.ts';
import {
  HANDS,
  keysSql,
  leaveMembersSql,
  leftoversSql,
  OWNER,
  preparationSql,
  removalSql,
  rightsSql,
  type ScriptNames,
} from './install-script.ts';
import { TARGET_CONNECT_TIMEOUT_MS } from './limits.ts';
import { parseTableName, quoteIdentifier, tableText } from './names.ts';
import { scramVerifier } from './scram.ts';

/**
 * Puts `firebreak.perform` into a target database, or takes it away, each in one transaction. It promises that
 * the executor's login can call that function and the planner's login can select, and nothing else by our
 * hand. It needs a superuser; or a login with CREATEROLE that owns the database and the tables, so that it may
 * grant on them, create a schema, and create the trusted extension pgcrypto.
 */
type TargetLogin = { name: string; password: string };
export type TargetInstall = {
  adminUrl: string;
  /** 32 bytes or more, shared with the gate alone. */
  gateKey: Uint8Array;
  /** 32 bytes or more, shared with the credentials service alone. */
  credentialsKey: Uint8Array;
  plannerLogin: TargetLogin;
  executorLogin: TargetLogin;
  target: string;
  /** `schema.name` or `name`; without it every table that the admin may grant on now. */
  tables?: readonly string[] | 'all';
  /**
   * The executor has what PUBLIC has. `revoke` takes TEMPORARY from PUBLIC, from the application's logins too
   * where they have it in no other way; uninstalling gives it back.
   */
  publicTemporary?: 'revoke' | 'keep';
};

const KEY_BYTES_MIN = 32;
const LOGIN_NAME = /^[a-z_][a-z0-9_]{0,62}$/;

/** Safe to call again: logins, rights, keys and functions are then as this call says. */
export async function installTarget(install: TargetInstall): Promise<{ warnings: string[] }> {
  const names = scriptNames(install);
  checkKeys(install);
  return inTransaction(install.adminUrl, async (client) => {
    await client.query(preparationSql(names));
    await client.query(passwordSql(install.plannerLogin.name, scramVerifier(install.plannerLogin.password)));
    await client.query(
      passwordSql(install.executorLogin.name, scramVerifier(install.executorLogin.password)),
    );
    await client.query(schemaSql());
    // Keys are bound, so that no statement text in a log or in pg_stat_activity holds them.
    await client.query(keysSql(names), [
      install.target,
      Buffer.from(install.gateKey).toString('hex'),
      Buffer.from(install.credentialsKey).toString('hex'),
    ]);
    await client.query(`reset role; ${rightsSql(names)}; ${leaveMembersSql}`);
    const left = await client.query<{ warning: string }>(leftoversSql, [names.executor]);
    return { warnings: left.rows.map((row) => row.warning) };
  });
}

type TargetUninstall = {
  adminUrl: string;
  plannerLogin: Pick<TargetLogin, 'name'>;
  executorLogin: Pick<TargetLogin, 'name'>;
};

/** Removes all that installing made, with the kept undo rows. Safe to call again. */
export async function uninstallTarget(install: TargetUninstall): Promise<void> {
  const names = {
    planner: loginName(install.plannerLogin.name),
    executor: loginName(install.executorLogin.name),
  };
  await inTransaction(install.adminUrl, async (client) => {
    await client.query(removalSql(names));
  });
}

/** The same statements for psql, to read or to run by hand; secrets are psql variables and not in the text. */
export function targetInstallSql(
  install: Omit<TargetInstall, 'adminUrl' | 'gateKey' | 'credentialsKey'>,
): string {
  const names = scriptNames(install);
  const keys = keysSql(names)
    .replaceAll('$1', ":'target'")
    .replaceAll('$2', ":'gate_key'")
    .replaceAll('$3', ":'credentials_key'");
  const parts = [
    `-- psql -v ON_ERROR_STOP=1 -v target=${install.target} -v gate_key=HEX -v credentials_key=HEX \\`,
    '--   -v planner_password=… -v executor_password=… -f THIS_FILE',
    'begin;',
    `${preparationSql(names)};`,
    `alter role ${quoteIdentifier(names.planner)} password :'planner_password';`,
    `alter role ${quoteIdentifier(names.executor)} password :'executor_password';`,
    `${schemaSql()};`,
    `${keys};`,
    'reset role;',
    `${rightsSql(names)};`,
    `${leaveMembersSql};`,
    'commit;',
  ];
  return `${parts.join('\n')}\n`;
}

function passwordSql(login: string, verifier: string): string {
  return `alter role ${quoteIdentifier(login)} password '${verifier}'`;
}

function scriptNames(install: Omit<TargetInstall, 'adminUrl' | 'gateKey' | 'credentialsKey'>): ScriptNames {
  const { tables = 'all', publicTemporary = 'revoke' } = install;
  if (install.plannerLogin.name === install.executorLogin.name) {
    throw new Refusal('CONFIG_INVALID', 'expected two logins, got the same name for planner and executor');
  }
  return {
    planner: loginName(install.plannerLogin.name),
    executor: loginName(install.executorLogin.name),
    tables: tables === 'all' ? tables : tables.map((name) => tableText(parseTableName(name))),
    publicTemporary,
  };
}

function loginName(name: string): string {
  if (LOGIN_NAME.test(name) && name !== OWNER && name !== HANDS && !name.startsWith('pg_')) return name;
  throw new Refusal(
    'CONFIG_INVALID',
    `expected a login name in lower case ASCII, got ${JSON.stringify(name)}`,
  );
}

function checkKeys({ gateKey, credentialsKey }: TargetInstall): void {
  if (gateKey.length < KEY_BYTES_MIN || credentialsKey.length < KEY_BYTES_MIN) {
    throw new Refusal('CONFIG_INVALID', `expected two keys of at least ${KEY_BYTES_MIN} bytes`);
  }
  // With one key, whoever holds it would hold both halves of the power.
  if (Buffer.from(gateKey).equals(credentialsKey)) {
    throw new Refusal('CONFIG_INVALID', 'expected two different keys, got the same one twice');
  }
}

async function inTransaction<Result>(
  adminUrl: string,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const client = new Client({
    connectionString: adminUrl,
    application_name: 'firebreak-target-install',
    connectionTimeoutMillis: TARGET_CONNECT_TIMEOUT_MS,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('begin');
    const result = await work(client);
    await client.query('commit');
    return result;
  } catch (cause) {
    if (cause instanceof Refusal) throw cause;
    const said = cause instanceof DatabaseError ? cause.message : 'it cannot be reached';
    throw new Refusal('SETUP_FAILED', `the target database cannot be set up: ${said}`, { cause });
  } finally {
    await client.end().catch(() => undefined);
  }
}
