import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { z } from 'zod';
import { dataDirectory } from '../dev/data-directory.ts';
import { Refusal } from '../refusal.ts';
import { print, visible } from './output.ts';

/** `firebreak target …`: what Firebreak puts into a PostgreSQL database that it may act on, and takes away again. */
const optionsSchema = z.object({
  url: z.string(),
  name: z.string().regex(/^[a-z][a-z0-9-]{0,40}$/, 'expected lower-case letters, digits and dashes'),
  data: z.string(),
  tables: z.string().optional(),
  yes: z.boolean().default(false),
  json: z.boolean().default(false),
});
type Options = z.infer<typeof optionsSchema>;

const INSTALL_NOTES = `
The login of --url must be a superuser, or one with CREATEROLE that owns the database and its tables; it is not kept.

Example: firebreak target install --name crm --url postgresql://admin:…@db.example.com/crm --tables public.leads`;

export function registerTarget(program: Command): void {
  const target = program.command('target').description('databases that actions run on');
  withOptions(target.command('install').description('install firebreak.perform and two logins; asks first'))
    .option('--tables <list>', 'schema.table, comma separated; all that the login may grant on unless told')
    .addHelpText('after', INSTALL_NOTES)
    .action(async (options: unknown) => await install(parse(options)));
  withOptions(
    target.command('uninstall').description('take all of it away, the kept undo rows too; asks first'),
  )
    .addHelpText(
      'after',
      '\nExample: firebreak target uninstall --name crm --url postgresql://admin:…@db/crm',
    )
    .action(async (options: unknown) => await uninstall(parse(options)));
}

function withOptions(command: Command): Command {
  return command
    .requiredOption('--url <url>', "the administrator's URL of the database")
    .option('--name <target>', 'as firebreak.toml names it', 'shop')
    .option('--data <directory>', 'the data directory of `firebreak dev`', 'data')
    .option('--yes', 'do not ask')
    .option('--json', 'print one JSON object');
}

function parse(options: unknown): Options {
  const parsed = optionsSchema.safeParse(options);
  if (parsed.success) return parsed.data;
  throw new Refusal('INVALID_INPUT', z.prettifyError(parsed.error), { cause: parsed.error });
}

async function install({ url, name, data, tables, yes, json }: Options): Promise<void> {
  const { installationText, installOwnTarget } = await import('../dev/own-targets.ts');
  const wanted = tables?.split(',').map((table) => table.trim()) ?? ('all' as const);
  await askFirst({ yes, what: `install in ${placeOf(url)}`, lines: installationText(name, wanted) });
  const warnings = await installOwnTarget({ data: dataDirectory(data), name, adminUrl: url }, wanted);
  print(json, { target: name, warnings }, [
    `installed in ${placeOf(url)} as target ${name}`,
    ...warnings.map((warning) => `note: ${visible(warning)}`),
    `next: a [[targets]] of that name in ${data}/firebreak.toml, then start firebreak dev again`,
  ]);
}

async function uninstall({ url, name, data, yes, json }: Options): Promise<void> {
  const { uninstallOwnTarget } = await import('../dev/own-targets.ts');
  const lines = ['schema firebreak with its record of effects and the rows kept for undo; both logins'];
  await askFirst({ yes, what: `remove from ${placeOf(url)}`, lines });
  await uninstallOwnTarget({ data: dataDirectory(data), name, adminUrl: url });
  print(json, { target: name }, [`nothing of Firebreak is left in ${placeOf(url)}`]);
}

/** Without the password: this is shown. */
export function placeOf(url: string): string {
  return visible(url.replace(/^([a-z]+:\/\/)(?:[^@/]*@)?/, '$1'));
}

/** Says what will be done and waits for a yes; where nobody can be asked, `--yes` must have said it. */
export async function askFirst(ask: { yes: boolean; what: string; lines: readonly string[] }): Promise<void> {
  process.stderr.write(`${ask.what}:\n${ask.lines.map((line) => `  ${line}\n`).join('')}`);
  if (ask.yes) return;
  if (!process.stdin.isTTY) {
    throw new Refusal('NOT_PERMITTED', 'nobody can be asked here: say --yes to go on');
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question('go on? [y/N] ');
  terminal.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new Refusal('NOT_PERMITTED', 'nothing was changed');
}
