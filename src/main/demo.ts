import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { z } from 'zod';
import { print, printError, visible } from '../cli/output.ts';
import { askFirst, placeOf } from '../cli/target.ts';
import { dataDirectory } from '../dev/data-directory.ts';
import { DEFAULT_TARGET } from '../dev/default-settings.ts';
import { runDemo } from '../dev/demo/run.ts';
import { installationText, installOwnTarget, uninstallOwnTarget } from '../dev/own-targets.ts';
import { refillShop } from '../dev/shop.ts';
import { startDev } from '../dev/supervisor.ts';
import { codeOf } from '../refusal.ts';

/** `npm run demo`: everything embedded, the main job once, and its proof. */
const REQUEST = fileURLToPath(new URL('../../demo/request.json', import.meta.url));

const optionsSchema = z.object({
  yes: z.boolean().default(false),
  attacks: z.boolean().default(false),
  json: z.boolean().default(false),
  data: z.string().optional(),
  target: z.string().optional(),
  request: z.string(),
  port: z.coerce.number().pipe(z.int().min(0).max(65_535)),
});
type Options = z.infer<typeof optionsSchema>;

const program = new Command('npm run demo --')
  .description('an agent asks to delete rows of a production database; you approve in Slack; it happens once')
  .option('--yes', 'click Approve for you')
  .option('--attacks', 'afterwards, try the same doors wrongly and show each refusal')
  .option('--json', 'print one JSON object last, and the steps on standard error')
  .option('--data <directory>', 'keep everything here (default: a temporary folder, removed at the end)')
  .option(
    '--target <url>',
    'an administrator’s URL of a PostgreSQL of your own: installed there for the demo, after asking, and removed at the end; name your own request with --request, its database is called shop',
  )
  .addOption(new Option('--request <file>', 'the request, JSON').default(REQUEST, 'demo/request.json'))
  .option('--port <number>', 'port of the one origin; 0 takes any free one', '0')
  .addHelpText('after', '\nExample: npm run demo -- --yes --json');

const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopping.abort());
try {
  await demo(optionsSchema.parse(program.parse().opts()));
} catch (error) {
  if (!stopping.signal.aborted) {
    printError(codeOf(error), visible(error instanceof Error ? error.message : String(error)));
  }
  process.exitCode = 1;
}

async function demo(options: Options): Promise<void> {
  const kept = options.data;
  const data = kept ?? (await mkdtemp(join(tmpdir(), 'firebreak-demo-')));
  try {
    if (options.target === undefined) await runOn(data, options, undefined);
    else await runOnOwn(data, options, options.target);
  } finally {
    if (kept === undefined) await rm(data, { recursive: true, force: true });
  }
}

/** On a database of the user's own: what was put there is taken away again, whatever happened between. */
async function runOnOwn(data: string, options: Options, adminUrl: string): Promise<void> {
  const own = { data: dataDirectory(data), name: DEFAULT_TARGET, adminUrl };
  const lines = [...installationText(own.name, 'all'), 'all of it is removed at the end of the demo'];
  await askFirst({ yes: options.yes, what: `install in ${placeOf(adminUrl)}`, lines });
  const warnings = await installOwnTarget(own, 'all');
  for (const warning of warnings) process.stderr.write(`note      ${visible(warning)}\n`);
  try {
    await runOn(data, options, adminUrl);
  } finally {
    await uninstallOwnTarget(own);
  }
}

async function runOn(data: string, options: Options, ownUrl: string | undefined): Promise<void> {
  const { yes, attacks, json, request, port } = options;
  const say = (line: string) => (json ? process.stderr : process.stdout).write(`${line}\n`);
  const startedMs = performance.now();
  say('starting  PostgreSQL, Temporal, nine domains and a stand-in for Slack …');
  const dev = await startDev({ data, port, say, signal: stopping.signal });
  // Whoever waits for a click may go: everything is ended in order, and nothing stays behind.
  const leaving = new Promise<never>((_, reject) => {
    stopping.signal.addEventListener('abort', () => reject(new Error('stopped')), { once: true });
  });
  try {
    say(`started   in ${((performance.now() - startedMs) / 1_000).toFixed(1)} s at ${dev.ready().origin}`);
    if (ownUrl === undefined) await refillShop(dev.urls.shopSuperuser);
    const adminUrl = ownUrl ?? dev.urls.shopSuperuser;
    const job = { dev, adminUrl, requestFile: request, yes, attacks, say };
    const report = await Promise.race([runDemo(job), leaving]);
    print(json, report, []);
    if (report.outcome !== 'done') process.exitCode = 1;
  } finally {
    await dev.stop();
  }
}
