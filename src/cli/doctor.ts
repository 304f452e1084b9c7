import type { Command } from 'commander';
import { z } from 'zod';
import type { Finding } from '../dev/doctor/finding.ts';
import { exitCodes } from './exit-code.ts';
import { print, visible } from './output.ts';

/** `firebreak doctor`: what this machine and a data directory lack, and what to do about it. It changes nothing. */
const optionsSchema = z.object({ data: z.string(), json: z.boolean().default(false) });
type Options = z.infer<typeof optionsSchema>;

const NOTES = `
Exit 0 when everything is in order, 1 when something is to be done.

Examples:
  firebreak doctor
  firebreak doctor --data /var/lib/firebreak --json`;

export function registerDoctor(program: Command): void {
  program
    .command('doctor')
    .description('check this machine and a data directory, and say what to do')
    .option('--data <directory>', 'the data directory of `firebreak dev`, running or not', 'data')
    .option('--json', 'print one JSON object')
    .addHelpText('after', NOTES)
    .action(async (options: unknown) => {
      process.exitCode = await doctor(optionsSchema.parse(options));
    });
}

async function doctor({ data, json }: Options): Promise<number> {
  const { dataDirectory } = await import('../dev/data-directory.ts');
  const { examineData } = await import('../dev/doctor/data.ts');
  const { examineDeployment } = await import('../dev/doctor/deployment.ts');
  const { examineMachine } = await import('../dev/doctor/machine.ts');
  const directory = dataDirectory(data);
  const state = await examineData(directory);
  const findings = [
    ...(await examineMachine(directory.root, process.env)),
    ...state.findings,
    await examineDeployment(directory, state),
  ];
  const healthy = findings.every(({ ok }) => ok);
  print(json, { healthy, checks: findings }, findings.flatMap(linesOf));
  return healthy ? exitCodes.done : exitCodes.refused;
}

const NAME_WIDTH = 16;

function linesOf({ check, ok, found, todo }: Finding): string[] {
  const line = `${ok ? 'ok   ' : 'FAULT'} ${check.padEnd(NAME_WIDTH)} ${visible(found)}`;
  return todo === undefined ? [line] : [line, `      ${' '.repeat(NAME_WIDTH)} → ${visible(todo)}`];
}
