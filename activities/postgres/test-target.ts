import { createHmac, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import type { ActionDefinition, BorrowedCredential, PlanBody, Statement } from '../../src/action/define.ts';
import { canonicalText } from '../../src/canonical.ts';
import { startPostgres } from '../../src/dev/postgres-server.ts';
import { createLog } from '../../src/log.ts';
import { definition as deletion } from '../actions/postgres.rows.delete/definition.ts';
import { installTarget, type TargetInstall } from './install-target.ts';
import { openReader } from './reader.ts';

/** A real PostgreSQL with one target database, for the tests of this room. */
export type TestTarget = {
  /** The superuser's connection to the target database. */
  admin: Client;
  install: TargetInstall;
  executorUrl: string;
  plannerUrl: string;
  /** Of a deletion unless told otherwise. */
  plan<Input>(input: unknown, definition?: ActionDefinition<Input>): Promise<PlanBody>;
  borrow(plan: Pick<PlanBody, 'effects'>, changes?: Partial<Statement>): BorrowedCredential;
  urlOf(login: { name: string; password: string }, database?: string): string;
  stop(): Promise<void>;
};

const SUPERUSER = { name: 'postgres', password: 'the-superuser-of-a-test' };
const STATEMENT_LIFETIME_MS = 60_000;

/** `tables` is the SQL that makes the application's tables; Firebreak is installed over them. */
export async function openTestTarget(tables: string): Promise<TestTarget> {
  const directory = await mkdtemp(join(tmpdir(), 'firebreak-'));
  const log = createLog('test', 'silent');
  const server = await startPostgres({
    directory,
    name: 'target',
    superuserPassword: SUPERUSER.password,
    log: (line) => log.debug(line),
  });
  const urlOf = (login: { name: string; password: string }, database = 'shop') =>
    server.url(login.name, login.password, database);
  await withClient(urlOf(SUPERUSER, 'postgres'), (client) => client.query('create database shop'));
  const admin = new Client({ connectionString: urlOf(SUPERUSER) });
  await admin.connect();
  await admin.query(tables);
  const install: TargetInstall = {
    adminUrl: urlOf(SUPERUSER),
    gateKey: randomBytes(32),
    credentialsKey: randomBytes(32),
    plannerLogin: { name: 'shop_planner', password: 'the-planner-of-a-test' },
    executorLogin: { name: 'shop_executor', password: 'the-executor-of-a-test' },
    target: 'shop',
  };
  await installTarget(install);
  const plannerUrl = urlOf(install.plannerLogin);
  return {
    admin,
    install,
    plannerUrl,
    executorUrl: urlOf(install.executorLogin),
    urlOf,
    plan: (input, definition) =>
      definition === undefined
        ? planWith(plannerUrl, deletion, input)
        : planWith(plannerUrl, definition, input),
    borrow: (plan, changes) => borrow(install, plan, changes),
    async stop() {
      await admin.end();
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export async function withClient<Result>(
  url: string,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function planWith<Input>(
  url: string,
  definition: ActionDefinition<Input>,
  input: unknown,
): Promise<PlanBody> {
  const reader = await openReader(url, 'shop');
  try {
    return await definition.plan(definition.input.parse(input), reader);
  } finally {
    await reader.close();
  }
}

function borrow(
  keys: Pick<TargetInstall, 'gateKey' | 'credentialsKey'>,
  plan: Pick<PlanBody, 'effects'>,
  changes: Partial<Statement> = {},
): BorrowedCredential {
  const statement = canonicalText({
    version: 1,
    target: 'shop',
    digest: 'd'.repeat(43),
    effectKey: randomBytes(8).toString('hex'),
    fence: 1,
    notAfter: new Date(Date.now() + STATEMENT_LIFETIME_MS).toISOString(),
    effects: plan.effects,
    ...changes,
  });
  return {
    statement,
    gateMac: macOf(keys.gateKey, statement),
    credentialsMac: macOf(keys.credentialsKey, statement),
  };
}

export function macOf(key: Uint8Array, statement: string): string {
  return createHmac('sha256', key).update(statement).digest('base64url');
}
