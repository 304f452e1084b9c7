import type { Command } from 'commander';
import { z } from 'zod';
import { Refusal } from '../refusal.ts';
import {
  openSession,
  readJsonFile,
  type WorkloadKey,
  workloadKeySchema,
  writeSession,
} from './open-session.ts';
import { print } from './output.ts';

/** `firebreak session …`: an agent's way in. */
export const SESSION_DIRECTORY = 'firebreak-session';

const optionsSchema = z.object({
  readyFile: z.string().optional(),
  origin: z.string().optional(),
  workloadKey: z.string().optional(),
  purpose: z.string().optional(),
  out: z.string(),
  json: z.boolean().default(false),
});
type Options = z.infer<typeof optionsSchema>;

export function registerSession(program: Command): void {
  program
    .command('session')
    .description('sessions of agents')
    .command('open')
    .description('open a session: writes session.json and agent-key.jwk')
    .option('--ready-file <file>', 'what `firebreak dev --ready-file` wrote: origin and workload key')
    .option('--origin <url>', "the agents' door")
    .option('--workload-key <file>', 'JSON with issuer, subject, audience and private jwk of the workload')
    .option('--purpose <name>', 'what the session is for; one of the purposes of the workload')
    .option('--out <directory>', 'where to write the session', SESSION_DIRECTORY)
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample: firebreak session open --ready-file data/ready.json --out my-agent')
    .action(async (options: unknown) => await open(optionsSchema.parse(options)));
}

async function open(options: Options): Promise<void> {
  const { origin, workload } = await identityOf(options);
  const held = await openSession({ origin, workload, purpose: options.purpose });
  await writeSession(options.out, held);
  const { sessionId, purpose, expiresAt } = held.session;
  print(options.json, { sessionId, purpose, expiresAt, origin, directory: options.out }, [
    `session ${sessionId} for ${purpose}, until ${expiresAt}, in ${options.out}`,
  ]);
}

const readySchema = z.object({ origin: z.string(), workloadKey: z.string() });

async function identityOf(options: Options): Promise<{ origin: string; workload: WorkloadKey }> {
  const ready =
    options.readyFile === undefined ? undefined : await readJsonFile(options.readyFile, readySchema);
  const origin = options.origin ?? ready?.origin;
  const file = options.workloadKey ?? ready?.workloadKey;
  if (origin === undefined || file === undefined) {
    throw new Refusal('CONFIG_INVALID', 'expected --ready-file, or --origin and --workload-key');
  }
  return { origin, workload: await readJsonFile(file, workloadKeySchema) };
}
