import { readFile, writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { z } from 'zod';
import { Refusal } from '../refusal.ts';
import { exitCodes } from './exit-code.ts';
import { breachLine } from './ledger.ts';
import { type LedgerSource, sourceOptionsSchema, withLedger, withSourceOptions } from './ledger-source.ts';
import { print, printError, visible } from './output.ts';

/** `firebreak evidence`: the story of one request, in a file that proves it. */
const optionsSchema = sourceOptionsSchema.extend({
  out: z.string().optional(),
  json: z.boolean().default(false),
});
type Options = z.infer<typeof optionsSchema>;

const NOTES = `
The file holds the request's signed entries, a proof for each that it stands in the log, the newest checkpoint and the
key manifest. It is verified as it was written before this says done. It shows that what it tells is so, not that
nothing else happened: that is what \`firebreak ledger verify\` shows.

Example: firebreak evidence req_… --out req.json`;

export function registerEvidence(program: Command): void {
  withSourceOptions(
    program.command('evidence').description('write and check the evidence of one request').argument('<id>'),
  )
    .option('--out <file>', 'where to write it (default: evidence-ID.json here)')
    .option('--json', 'print one JSON object')
    .addHelpText('after', NOTES)
    .action(async (id: string, given: unknown) => {
      const options = optionsSchema.parse(given);
      process.exitCode = await withLedger(options, async (source) => await write(source, id, options));
    });
}

async function write(source: LedgerSource, requestId: string, options: Options): Promise<number> {
  const { collectEvidence } = await import('../ledger/evidence/collect-evidence.ts');
  const { verifyEvidence } = await import('../ledger/evidence/verify-evidence.ts');
  const keyManifest = source.manifest;
  const { evidence, pending } = await collectEvidence(source.database, { requestId, keyManifest });
  const file = options.out ?? fileNameOf(requestId);
  await writeFile(file, `${JSON.stringify(evidence, undefined, 2)}\n`);
  // As a stranger will read it: from the file.
  const verdict = await verifyEvidence(JSON.parse(await readFile(file, 'utf8')), source);
  if (verdict.kind === 'broken') {
    printError('LEDGER_INVALID', visible(`${breachLine(verdict.breach)}; ${file} shows it`));
    return exitCodes.refused;
  }
  const { accountOf } = await import('../ledger/evidence/account.ts');
  const { origin, size, root } = verdict;
  const account = accountOf(verdict.entries);
  print(options.json, { requestId, file, valid: true, origin, size, root, pending, account }, [
    `request ${visible(requestId)}, as the log ${origin} of ${size} entries tells it:`,
    ...account.map(({ leafIndex, time, author, text }) =>
      visible(`[${leafIndex}] ${time} ${author}: ${text}`),
    ),
    ...(pending === 0 ? [] : [`${pending} entries are in no checkpoint yet and not in this file`]),
    `${account.length} entries verified, in ${file}`,
  ]);
  return exitCodes.done;
}

/** An id from a command line becomes part of a path only where it can be no path of its own. */
function fileNameOf(requestId: string): string {
  if (!/^[A-Za-z0-9_-]{1,128}$/.test(requestId)) {
    throw new Refusal('UNKNOWN_REQUEST', 'expected a request id of letters, digits, - and _');
  }
  return `evidence-${requestId}.json`;
}
