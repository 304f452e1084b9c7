import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Kysely, PostgresDialect, sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { Client, Pool } from 'pg';
import { type Domain, domains, loginOf } from '../domains.ts';
import { Refusal } from '../refusal.ts';

/**
 * Brings both databases to the newest form. Runs with the migrating login, which is absent at run time.
 * Two at once wait for each other (kysely's advisory lock); a second run changes nothing but passwords.
 */
export const databases = ['firebreak', 'credentials'] as const;
export type DatabaseName = (typeof databases)[number];

const OWNER = 'firebreak_owner';

type MigrateOptions = {
  /** A URL of the migrating login for one database; `postgres` must exist. */
  urlOf: (database: string) => string;
  /** The passwords that the logins get; null leaves a login's password as it is. */
  passwords: Record<Domain, string | null>;
};

/** @returns names of the migrations that were applied now. */
export async function migrate(options: MigrateOptions): Promise<string[]> {
  await createRolesAndDatabases(options);
  const applied: string[] = [];
  for (const database of databases) applied.push(...(await migrateOne(database, options.urlOf(database))));
  return applied;
}

/** The SQL of all migrations, for people who run it by their own tools. */
export async function migrationText(): Promise<string> {
  const parts: string[] = [];
  for (const database of databases) {
    for (const [name, text] of await readMigrations(database)) {
      parts.push(`-- database ${database}: ${name}\nbegin;\n${text}\ncommit;\n`);
    }
  }
  return parts.join('\n');
}

async function createRolesAndDatabases({ urlOf, passwords }: MigrateOptions): Promise<void> {
  const client = new Client({ connectionString: urlOf('postgres') });
  await client.connect();
  try {
    await createRole(client, OWNER, 'nologin');
    for (const domain of domains) {
      const login = loginOf(domain);
      await createRole(client, login, 'login noinherit nocreatedb nocreaterole');
      const password = passwords[domain];
      if (password !== null) {
        await client.query(`alter role ${login} password ${client.escapeLiteral(password)}`);
      }
    }
    for (const database of databases) {
      const found = await client.query('select from pg_database where datname = $1', [database]);
      if (found.rowCount === 0) await client.query(`create database ${database}`);
      await client.query(`grant create on database ${database} to ${OWNER}`);
    }
  } finally {
    await client.end();
  }
}

async function createRole(client: Client, name: string, attributes: string): Promise<void> {
  const found = await client.query('select from pg_roles where rolname = $1', [name]);
  if (found.rowCount === 0) await client.query(`create role ${name} ${attributes}`);
}

async function migrateOne(database: DatabaseName, url: string): Promise<string[]> {
  const pool = new Pool({ connectionString: url, max: 2 });
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  try {
    const migrations: Record<string, Migration> = {};
    for (const [name, text] of await readMigrations(database)) {
      migrations[name] = {
        async up(db) {
          await sql.raw(text).execute(db);
          // One transaction holds all migrations: what one set for itself must not reach the next, or kysely's own.
          await sql`reset role`.execute(db);
        },
      };
    }
    const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
    const { error, results } = await migrator.migrateToLatest();
    if (error !== undefined) {
      const failed = results?.find((result) => result.status === 'Error')?.migrationName ?? 'a migration';
      throw new Refusal('SETUP_FAILED', `${database}: ${failed} failed and was rolled back`, {
        cause: error,
      });
    }
    return (results ?? []).map((result) => `${database}/${result.migrationName}`);
  } finally {
    await db.destroy();
  }
}

async function readMigrations(database: DatabaseName): Promise<[name: string, text: string][]> {
  const directory = fileURLToPath(new URL(`./migrations/${database}/`, import.meta.url));
  const files = (await readdir(directory)).filter((file) => file.endsWith('.sql')).sort();
  const read = files.map(
    async (file): Promise<[string, string]> => [
      file.replace(/\.sql$/, ''),
      await readFile(`${directory}${file}`, 'utf8'),
    ],
  );
  return await Promise.all(read);
}
