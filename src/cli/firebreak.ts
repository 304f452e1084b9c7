import { Command, CommanderError } from 'commander';
import { z } from 'zod';
import { codeOf, Refusal } from '../refusal.ts';
import { registerDev } from './dev.ts';
import { registerDigest } from './digest.ts';
import { registerDoctor } from './doctor.ts';
import { registerEvidence } from './evidence.ts';
import { exitCodes } from './exit-code.ts';
import { registerLedger } from './ledger.ts';
import { registerMigrate } from './migrate.ts';
import { printError, visible } from './output.ts';
import { registerRequests } from './requests.ts';
import { registerSession } from './session.ts';
import { registerSubmit } from './submit.ts';
import { registerTarget } from './target.ts';
import { registerToken } from './token.ts';
import { registerUp } from './up.ts';

/** The command line: a client of the doors, with no private entrance. */
const groups: ((program: Command) => void)[] = [
  registerDev,
  registerUp,
  registerDoctor,
  registerMigrate,
  registerTarget,
  registerSession,
  registerSubmit,
  registerRequests,
  registerLedger,
  registerEvidence,
  registerToken,
  registerDigest,
];

const faultsSchema = z.object({ faults: z.array(z.object({ pointer: z.string(), message: z.string() })) });

const program = new Command('firebreak').description('stands between AI agents and destructive power');
for (const register of groups) register(program);

try {
  await exitOverridden(program).parseAsync();
} catch (error) {
  process.exitCode = answer(error);
}

/** Usage errors become exceptions in every subcommand, so that their exit code is ours. */
function exitOverridden(command: Command): Command {
  for (const child of command.commands) exitOverridden(child);
  return command.exitOverride();
}

function answer(error: unknown): number {
  // Commander has already printed what it has to say; help is no fault.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  printError(codeOf(error), visible(error instanceof Error ? error.message : String(error)));
  const faults = faultsSchema.safeParse(error instanceof Refusal ? error.details : undefined);
  for (const { pointer, message } of faults.data?.faults ?? [])
    printError(visible(pointer) || '/', visible(message));
  return exitCodes.refused;
}
