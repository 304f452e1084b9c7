import type { Command } from 'commander';
import { z } from 'zod';
import { print, visible } from './output.ts';
import { SESSION_DIRECTORY } from './session.ts';
import { clientOf, conclude, follow, TIMEOUT_MAX_S } from './submit.ts';
import { wholeNumber } from './whole-number.ts';

/** `firebreak requests …`: what this agent asked, and how it stands. */
const optionsSchema = z.object({
  session: z.string(),
  limit: z.number().default(20),
  wait: z.boolean().default(false),
  timeout: z.number().optional(),
  json: z.boolean().default(false),
});
type Options = z.infer<typeof optionsSchema>;

export function registerRequests(program: Command): void {
  const requests = program.command('requests').description('requests of this agent');
  requests
    .command('show')
    .description('how a request stands; the exit code says the same')
    .argument('<id>')
    .option('--session <directory>', 'what `session open` wrote', SESSION_DIRECTORY)
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample: firebreak requests show req_… --json')
    .action(async (id: string, options: unknown) => await show(id, optionsSchema.parse(options)));
  requests
    .command('list')
    .description('the newest requests first')
    .option('--limit <count>', 'at most 100; 20 unless told', wholeNumber(1, 100))
    .option('--session <directory>', 'what `session open` wrote', SESSION_DIRECTORY)
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample: firebreak requests list --limit 5')
    .action(async (options: unknown) => await list(optionsSchema.parse(options)));
  registerTakingBack(requests);
}

function registerTakingBack(requests: Command): void {
  requests
    .command('cancel')
    .description('take a request back that was not performed yet')
    .argument('<id>')
    .option('--session <directory>', 'what `session open` wrote', SESSION_DIRECTORY)
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample: firebreak requests cancel req_…')
    .action(async (id: string, options: unknown) => await cancel(id, optionsSchema.parse(options)));
  requests
    .command('undo')
    .description('submit the request that takes a done one back; people are asked as for any other')
    .argument('<id>')
    .option('--wait', 'wait until that request has ended; the exit code says how')
    .option('--timeout <seconds>', 'with --wait: give up waiting, exit 3', wholeNumber(1, TIMEOUT_MAX_S))
    .option('--session <directory>', 'what `session open` wrote', SESSION_DIRECTORY)
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample: firebreak requests undo req_… --wait')
    .action(async (id: string, options: unknown) => await undo(id, optionsSchema.parse(options)));
}

async function show(id: string, options: Options): Promise<void> {
  const client = await clientOf(options.session);
  conclude(await client.show(id), options.json);
}

/** Exit code 0: that the request is cancelled is what was asked for. */
async function cancel(id: string, options: Options): Promise<void> {
  const client = await clientOf(options.session);
  const view = await client.cancel(id);
  print(options.json, view, [`request ${view.requestId} is ${view.state}`]);
}

async function undo(id: string, options: Options): Promise<void> {
  const client = await clientOf(options.session);
  await follow(client, await client.undo(id), options);
}

async function list(options: Options): Promise<void> {
  const client = await clientOf(options.session);
  const requests = await client.list(options.limit);
  const lines = requests.map(
    ({ requestId, state, action, resource }) => `${requestId}  ${state}  ${action}  ${visible(resource)}`,
  );
  print(options.json, { requests }, lines.length === 0 ? ['no requests yet'] : lines);
}
