import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { z } from 'zod';
import { canonicalText, sha256Base64url } from '../canonical.ts';
import { parseJson } from '../doors/agents/strict-json.ts';
import { Refusal } from '../refusal.ts';
import { print } from './output.ts';

/** `firebreak digest`: what everybody can recompute without trusting us. */
const FILE_MAX_BYTES = 64 * 1_024 * 1_024;
const DEPTH_MAX = 1_000;

const optionsSchema = z.object({ canonical: z.boolean().default(false), json: z.boolean().default(false) });

export function registerDigest(program: Command): void {
  program
    .command('digest')
    .description('base64url(SHA-256) of the RFC 8785 text of a JSON file')
    .argument('<file>', 'JSON; - reads standard input')
    .option('--canonical', 'print the RFC 8785 bytes instead, without a line end')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample: firebreak digest request.json')
    .action(async (file: string, options: unknown) => await digest(file, optionsSchema.parse(options)));
}

async function digest(file: string, options: z.infer<typeof optionsSchema>): Promise<void> {
  // Numbers and strings as RFC 8785 has them: what the door refuses to store has a digest all the same.
  const limits = { bytesMax: FILE_MAX_BYTES, depthMax: DEPTH_MAX, stored: false };
  const text = canonicalText(parseJson(await readBytes(file), limits));
  if (options.canonical) process.stdout.write(text);
  else print(options.json, { digest: sha256Base64url(text) }, [sha256Base64url(text)]);
}

async function readBytes(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file === '-' ? '/dev/stdin' : file);
  } catch (cause) {
    throw new Refusal('CONFIG_INVALID', `${file} cannot be read`, { cause });
  }
}
