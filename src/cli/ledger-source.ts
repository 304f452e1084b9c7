import { readFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { z } from 'zod';
import { type DatabasePool, openDatabase } from '../database/pool.ts';
import { dataDirectory } from '../dev/data-directory.ts';
import { parseManifest, type TrustedKeys } from '../identity/manifest.ts';
import { Refusal } from '../refusal.ts';
import { readSettings, type Settings } from '../settings.ts';
import { printError, visible } from './output.ts';

/** Where the commands that judge the ledger read it, and by what they judge it. */
export const sourceOptionsSchema = z.object({
  data: z.string(),
  databaseUrl: z.string().optional(),
  trust: z.string().optional(),
  roots: z.string().optional(),
  people: z.union([z.string(), z.boolean()]).optional(),
});
export type SourceOptions = z.infer<typeof sourceOptionsSchema>;

export type LedgerSource = {
  database: DatabasePool;
  /** The key manifest, as it stands in its file. */
  manifest: string;
  keys: TrustedKeys;
  directory: Settings | undefined;
  nowS: number;
};

export function withSourceOptions(command: Command): Command {
  return command
    .option('--data <directory>', 'the data directory of `firebreak dev`, running or not', 'data')
    .addOption(
      new Option('--database-url <url>', "the database, by the ledger's login, instead of --data").env(
        'FIREBREAK_DATABASE_URL_LEDGER',
      ),
    )
    .addOption(
      new Option('--trust <file>', 'the key manifest (default: that of the data directory)').env(
        'FIREBREAK_KEY_MANIFEST',
      ),
    )
    .addOption(
      new Option('--roots <hash>', 'the pinned hash of its roots (default: that of the data directory)').env(
        'FIREBREAK_ROOTS',
      ),
    )
    .option(
      '--people <file>',
      'settings whose people, groups and owners, as they are now, voters are held against (default: firebreak.toml of the data directory)',
    )
    .option('--no-people', 'do not judge who may vote');
}

/** Opens the ledger for the time of the work, starting the embedded database where it is not running. */
export async function withLedger<T>(
  options: SourceOptions,
  work: (source: LedgerSource) => Promise<T>,
): Promise<T> {
  const data = dataDirectory(options.data);
  const trust = {
    manifest: await readText(options.trust ?? data.keyManifest),
    pin: options.roots ?? (await readText(data.pin)).trim(),
  };
  const opened = async (url: string) => {
    const database = openDatabase(url, ({ message }) => printError('UNAVAILABLE', visible(message)));
    try {
      return await work({
        database,
        manifest: trust.manifest,
        keys: await parseManifest(trust.manifest, trust.pin),
        directory: await readDirectory(options, data.settings),
        nowS: Math.floor(Date.now() / 1_000),
      });
    } finally {
      await database.close();
    }
  };
  if (options.databaseUrl !== undefined) return await opened(options.databaseUrl);
  const { withOwnDatabase } = await import('../dev/read-database.ts');
  return await withOwnDatabase(data, 'ledger', opened);
}

async function readDirectory(
  { people, databaseUrl }: SourceOptions,
  file: string,
): Promise<Settings | undefined> {
  if (people === false) return undefined;
  if (typeof people === 'string') return await readSettings(people);
  // Somebody else's database has other people than a data directory that happens to be here.
  return databaseUrl === undefined ? await readSettings(file) : undefined;
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new Refusal('CONFIG_INVALID', `${file} cannot be read`, { cause });
  }
}
