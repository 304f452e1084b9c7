import type { Command } from 'commander';
import { z } from 'zod';
import { print, visible } from './output.ts';
import { SESSION_DIRECTORY } from './session.ts';
import { clientOf, conclude } from './submit.ts';
import { wholeNumber } from './whole-number.ts';

/** `firebreak requests …`: what this agent asked, and how it stands. */
const optionsSchema = z.object({
  session: z.string(),
  limit: z.number().default(20),
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
}

async function show(id: string, options: Options): Promise<void> {
  const client = await clientOf(options.session);
  conclude(await client.show(id), options.json);
}

async function list(options: Options): Promise<void> {
  const client = await clientOf(options.session);
  const requests = await client.list(options.limit);
  const lines = requests.map(
    ({ requestId, state, action, resource }) => `${requestId}  ${state}  ${action}  ${visible(resource)}`,
  );
  print(options.json, { requests }, lines.length === 0 ? ['no requests yet'] : lines);
}
