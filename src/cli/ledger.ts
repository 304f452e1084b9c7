import type { Command } from 'commander';
import { z } from 'zod';
import type { Breach } from '../ledger/verify/breach.ts';
import type { LedgerVerdict } from '../ledger/verify/verify-database.ts';
import { exitCodes } from './exit-code.ts';
import { type LedgerSource, sourceOptionsSchema, withLedger, withSourceOptions } from './ledger-source.ts';
import { print, printError, visible } from './output.ts';

/** `firebreak ledger …`: what happened, checked by nothing but the keys that the reader trusts. */
const optionsSchema = sourceOptionsSchema.extend({ json: z.boolean().default(false) });

const NOTES = `
Checks S9 (no gap, every checkpoint signed over exactly these leaves), the form, author and signature of each entry,
and S1 to S7 and S10 as far as the ledger shows them; ARCHITECTURE.md says what these are. Exit 0 with origin, size and
root; exit 1 with the first breach.

Examples:
  firebreak ledger verify
  firebreak ledger verify --data /var/lib/firebreak --json
  FIREBREAK_DATABASE_URL_LEDGER=postgresql://… firebreak ledger verify --trust keys.json --roots HASH`;

export function registerLedger(program: Command): void {
  const ledger = program.command('ledger').description('the log of every decision');
  withSourceOptions(ledger.command('verify').description('check the whole log, and name the first breach'))
    .option('--json', 'print one JSON object')
    .addHelpText('after', NOTES)
    .action(async (given: unknown) => {
      const options = optionsSchema.parse(given);
      const verdict = await withLedger(options, verify);
      process.exitCode = conclude(verdict, options.json);
    });
}

async function verify(source: LedgerSource): Promise<LedgerVerdict> {
  const { verifyLedger } = await import('../ledger/verify/verify-database.ts');
  return await verifyLedger(source.database, { ...source, onProgress: createProgress() });
}

function conclude(verdict: LedgerVerdict, asJson: boolean): number {
  if (verdict.kind === 'holds') {
    const { origin, size, root, checkpoints, unsequenced } = verdict;
    const waiting = unsequenced === 0 ? [] : [`${unsequenced} entries wait to be sequenced: no fault`];
    print(asJson, { valid: true, origin, size, root, checkpoints, unsequenced }, [
      `ledger holds: ${origin}`,
      `size ${size}, root ${root}, ${checkpoints} checkpoints`,
      ...waiting,
    ]);
    return exitCodes.done;
  }
  const { breach, origin, unsequenced } = verdict;
  if (asJson) print(true, { valid: false, origin, breach, unsequenced }, []);
  printError('LEDGER_INVALID', visible(breachLine(breach)));
  return exitCodes.refused;
}

export function breachLine({ invariant, leafIndex, requestId, sentence }: Breach): string {
  const where = leafIndex === null ? '' : ` at leaf ${leafIndex}`;
  const of = requestId === null ? '' : ` of ${requestId}`;
  return `${invariant}${where}${of}: ${sentence}`;
}

/** Below this a verdict comes before anybody wonders. */
const LONG_ENTRIES = 5_000;
const STEP_PERCENT = 10;

function createProgress(): (done: number, size: number) => void {
  let saidPercent = 0;
  return (done, size) => {
    if (size < LONG_ENTRIES) return;
    const percent = Math.floor((done / size) * 100);
    if (percent < saidPercent + STEP_PERCENT) return;
    saidPercent = percent;
    process.stderr.write(`verified ${done} of ${size} entries (${percent} %)\n`);
  };
}
