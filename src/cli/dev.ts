import type { Command } from 'commander';
import { z } from 'zod';
import { DEFAULT_PORT } from '../dev/run-settings.ts';
import type { RunningDev } from '../dev/supervisor.ts';
import { domains } from '../domains.ts';
import { visible } from './output.ts';
import { wholeNumber } from './whole-number.ts';

/** `firebreak dev`: everything on this machine until Ctrl-C. */
const PORT_MAX = 65_535;
const SAME_PRESS_MS = 500;

const optionsSchema = z.object({
  port: z.int().optional(),
  data: z.string(),
  policies: z.string().optional(),
  actions: z.string().optional(),
  readyFile: z.string().optional(),
});
type Options = z.infer<typeof optionsSchema>;

const EXAMPLES = `
Examples:
  firebreak dev
  firebreak dev --port 9000 --data /tmp/firebreak --ready-file /tmp/ready.json
  firebreak dev --port 0 --policies ./my-policies --actions ./my-actions`;

export function registerDev(program: Command): void {
  program
    .command('dev')
    .description('start everything on this machine, until Ctrl-C')
    .option(
      '--port <number>',
      `port of the one origin; 0 takes any free one (default: as in firebreak.toml, at first ${DEFAULT_PORT})`,
      wholeNumber(0, PORT_MAX),
    )
    .option('--data <directory>', 'where settings, keys and databases stand; made when absent', 'data')
    .option('--policies <directory>', 'policies of this run, instead of those in firebreak.toml')
    .option('--actions <directory>', 'actions of this run, instead of those in firebreak.toml')
    .option('--ready-file <file>', 'write origin, pids and paths of development credentials here once ready')
    .addHelpText('after', EXAMPLES)
    .action(async (options: unknown) => await dev(optionsSchema.parse(options)));
}

async function dev(options: Options): Promise<void> {
  const stopping = new AbortController();
  const asked = untilAsked(stopping);
  say(`starting on ${options.data} …`);
  const startedMs = performance.now();
  // Not at the top: no other command should wait until all of this is loaded.
  const { startDev } = await import('../dev/supervisor.ts');
  let running: RunningDev;
  try {
    running = await startDev({ ...options, say, signal: stopping.signal });
  } catch (error) {
    // Ctrl-C while it was starting is no fault: all that had started has been ended.
    if (stopping.signal.aborted) return;
    throw error;
  }
  process.stdout.write(banner(running, performance.now() - startedMs));
  await asked;
  await running.stop();
  say('stopped; nothing runs any more, the data stay');
}

/** Resolves at the first signal; each further one only says what is going on. */
async function untilAsked(stopping: AbortController): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let firstMs = 0;
  const heard = () => {
    if (stopping.signal.aborted) {
      // A launcher that hands signals on doubles the terminal's own: that is still the first Ctrl-C.
      if (performance.now() - firstMs < SAME_PRESS_MS) return;
      say(`still stopping, up to half a minute; kill -9 ${process.pid} ends all at once and loses nothing`);
      return;
    }
    firstMs = performance.now();
    say('stopping …');
    stopping.abort();
    resolve();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, heard);
  await promise;
}

function banner(running: RunningDev, tookMs: number): string {
  const { origin, slack, ledger, agents, data } = running.ready();
  const [agent] = Object.keys(agents);
  return `
Firebreak is ready after ${(tookMs / 1_000).toFixed(1)} s.

  origin    ${origin}
  approvals ${slack}
  ledger    ${ledger}
  data      ${data}
${agent === undefined ? '' : commands(data)}
DEVELOPMENT: all ${domains.length} domains run as one user on this machine, and Slack is a stand-in that anybody here can
click in. What is said about captured domains does not hold for this. Ctrl-C stops everything.
`;
}

function commands(data: string): string {
  return `
Try, in another terminal:
  npx firebreak session open --ready-file ${data}/ready.json
  npx firebreak submit postgres.rows.delete --input ${data}/input.json --wait
  npx firebreak requests list
`;
}

function say(line: string): void {
  process.stderr.write(`${visible(line)}\n`);
}
