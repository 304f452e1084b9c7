import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { z } from 'zod';
import { Refusal } from '../refusal.ts';
import { type AgentClient, createAgentClient, type RequestView, type Submitted } from './agent-client.ts';
import { exitCodeOf } from './exit-code.ts';
import { readSession } from './open-session.ts';
import { print, printError, visible } from './output.ts';
import { SESSION_DIRECTORY } from './session.ts';
import { wholeNumber } from './whole-number.ts';

/** `firebreak submit`: asks for one action. */
/** As long as a session may live at most. */
export const TIMEOUT_MAX_S = 7 * 24 * 3_600;

const optionsSchema = z.object({
  input: z.string(),
  wait: z.boolean().default(false),
  timeout: z.number().optional(),
  session: z.string(),
  idempotencyKey: z.string().optional(),
  justification: z.string().optional(),
  changeTicket: z.string().optional(),
  json: z.boolean().default(false),
});
type Options = z.infer<typeof optionsSchema>;

export function registerSubmit(program: Command): void {
  program
    .command('submit')
    .description('submit a request to run an action')
    .argument('<action>', 'e.g. postgres.rows.delete')
    .requiredOption('--input <file>', 'JSON input of the action; - reads standard input')
    .option('--wait', 'wait until the request has ended; the exit code says how')
    .option(
      '--timeout <seconds>',
      'with --wait: give up waiting, exit 3; the request goes on',
      wholeNumber(1, TIMEOUT_MAX_S),
    )
    .option('--session <directory>', 'what `session open` wrote', SESSION_DIRECTORY)
    .option('--idempotency-key <key>', 'the same key and body is the same request, however often it is sent')
    .option('--justification <text>', 'why, in the words of the agent')
    .option('--change-ticket <id>', 'a change ticket')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample: firebreak submit postgres.rows.delete --input request.json --wait')
    .action(async (action: string, options: unknown) => await submit(action, optionsSchema.parse(options)));
}

export async function clientOf(directory: string): Promise<AgentClient> {
  const { session, key } = await readSession(directory);
  return createAgentClient({ origin: session.origin, session, key });
}

async function submit(action: string, options: Options): Promise<void> {
  const client = await clientOf(options.session);
  const { idempotencyKey } = options;
  await follow(client, await client.submit(await bodyOf(action, options), { idempotencyKey }), options);
}

type Following = { wait: boolean; timeout?: number | undefined; json: boolean };

/** Says what was submitted, or waits for its end. */
export async function follow(client: AgentClient, submitted: Submitted, options: Following): Promise<void> {
  const { requestId, state, expiresAt } = submitted;
  const { timeout } = options;
  if (!options.wait) {
    print(options.json, submitted, [`request ${requestId} is ${state}, until ${expiresAt}`]);
    return;
  }
  const view = await client.waitFor(requestId, {
    ...(timeout === undefined ? {} : { timeoutMs: timeout * 1_000 }),
    onState: ({ state }) => {
      if (!options.json) process.stderr.write(`request ${requestId} is ${state}\n`);
    },
  });
  conclude(view, options.json);
}

/** The input goes out as it stands in the file: the door names its faults, and no parser here repairs them. */
async function bodyOf(action: string, options: Options): Promise<string> {
  const { justification, changeTicket } = options;
  const text = await readText(options.input);
  const envelope = JSON.stringify({ action, justification, changeTicket });
  return `${envelope.slice(0, -1)},"input":${text}}`;
}

async function readText(file: string): Promise<string> {
  try {
    const text = await readFile(file === '-' ? '/dev/stdin' : file, 'utf8');
    // One whole JSON value, or it would not stay inside its member.
    JSON.parse(text);
    return text;
  } catch (cause) {
    throw new Refusal('MALFORMED_JSON', `expected JSON in ${file}`, { cause });
  }
}

/** Prints how a request stands and sets the exit code that says the same. */
export function conclude(view: RequestView, asJson: boolean): void {
  const code = view.detail['code'];
  const { approvals } = view;
  print(asJson, view, [
    `request ${view.requestId} is ${view.state}`,
    `${view.action} on ${visible(view.resource)}`,
    ...(approvals === undefined
      ? []
      : [`approvals ${approvals.have} of ${approvals.needed} from ${approvals.groups.join(', ')}`]),
    view.final ? `ended ${view.stateAt}` : `expires ${view.expiresAt}`,
  ]);
  process.exitCode = exitCodeOf(view.state);
  const reason = view.detail['reason'];
  const said = typeof reason === 'string' ? visible(reason) : `request is ${view.state}`;
  if (typeof code === 'string') printError(code, said);
}
