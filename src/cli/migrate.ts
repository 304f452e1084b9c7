import type { Command } from 'commander';
import { z } from 'zod';
import { type Domain, domains } from '../domains.ts';
import { Refusal } from '../refusal.ts';
import { print } from './output.ts';

/** `firebreak migrate`: brings the databases to the newest form, by a login that no domain has at run time. */
const optionsSchema = z.object({ print: z.boolean().default(false), json: z.boolean().default(false) });

const NOTES = `
DATABASE_URL names the migrating login, which may create roles and databases; the name of the database in it does not
matter. FIREBREAK_PASSWORD_<DOMAIN> sets the password of a domain's login; without it the login's password stays as it
is. A second run changes nothing but passwords, and two at once wait for each other.

Examples:
  DATABASE_URL=postgresql://admin@db/postgres FIREBREAK_PASSWORD_GATE=… firebreak migrate
  firebreak migrate --print > migrations.sql`;

export function registerMigrate(program: Command): void {
  program
    .command('migrate')
    .description('bring the databases to the newest form')
    .option('--print', 'print the SQL instead, for those who run it by their own tools')
    .option('--json', 'print one JSON object')
    .addHelpText('after', NOTES)
    .action(async (options: unknown) => {
      const { print: onlyPrint, json } = optionsSchema.parse(options);
      const { migrationText } = await import('../database/migrate.ts');
      if (onlyPrint) process.stdout.write(await migrationText());
      else await run(process.env, json);
    });
}

async function run(variables: NodeJS.ProcessEnv, json: boolean): Promise<void> {
  const { migrate } = await import('../database/migrate.ts');
  const applied = await migrate({ urlOf: urlsFrom(variables), passwords: passwordsFrom(variables) });
  const lines = applied.length === 0 ? ['nothing to apply'] : applied.map((name) => `applied ${name}`);
  print(json, { applied }, lines);
}

/** By hand, since a URL with an empty host, as unix sockets have it, is none for `URL`. */
const POSTGRES_URL = /^(?<server>postgres(?:ql)?:\/\/[^/?#]*)(?:\/[^?#]*)?(?<options>\?[^#]*)?$/;

function urlsFrom({ DATABASE_URL: url = '' }: NodeJS.ProcessEnv): (database: string) => string {
  const { server, options = '' } = POSTGRES_URL.exec(url)?.groups ?? {};
  if (server === undefined) {
    throw new Refusal('CONFIG_INVALID', 'expected DATABASE_URL, a postgresql:// URL of the migrating login');
  }
  return (database) => `${server}/${database}${options}`;
}

function passwordsFrom(variables: NodeJS.ProcessEnv): Record<Domain, string | null> {
  const entries = domains.map((domain) => [
    domain,
    variables[`FIREBREAK_PASSWORD_${domain.toUpperCase()}`] ?? null,
  ]);
  return Object.fromEntries(entries) as Record<Domain, string | null>; // fromEntries forgets the names of the keys.
}
