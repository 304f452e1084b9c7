import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { z } from 'zod';
import { print, printError, visible } from '../cli/output.ts';
import { runDemo } from '../dev/demo/run.ts';
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
  .option('--request <file>', 'the request, JSON', REQUEST)
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
    await runOn(data, options);
  } finally {
    if (kept === undefined) await rm(data, { recursive: true, force: true });
  }
}

async function runOn(data: string, { yes, attacks, json, request, port }: Options): Promise<void> {
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
    await refillShop(dev.urls.shopSuperuser);
    const report = await Promise.race([runDemo({ dev, requestFile: request, yes, attacks, say }), leaving]);
    print(json, report, []);
    if (report.outcome !== 'done') process.exitCode = 1;
  } finally {
    await dev.stop();
  }
}
