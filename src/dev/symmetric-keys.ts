import { join } from 'node:path';
import type { Domain } from '../domains.ts';
import { Refusal } from '../refusal.ts';
import type { DataDirectory } from './data-directory.ts';
import { randomSecret, readPrivateFile, writePrivateFile } from './private-file.ts';
import { together } from './together.ts';

/** Keys of 32 random bytes that several domains share, a copy in the folder of each one that holds it. */
const shared: Record<string, readonly Domain[]> = {
  'codec.key': ['gateway', 'people', 'orchestrator', 'planner', 'executor'],
  'context.key': ['broker', 'planner', 'executor'],
  'result.key': ['gateway', 'executor'],
};

/** @param targets each has two keys of its own: one for the gate, another one for the credentials service. */
export async function ensureSymmetricKeys(data: DataDirectory, targets: readonly string[]): Promise<void> {
  const copies = (name: string, holders: readonly Domain[]) =>
    ensureCopies(holders.map((domain) => join(data.keys(domain), name)));
  await together([
    ...Object.entries(shared).map(async ([name, holders]) => await copies(name, holders)),
    ...targets.flatMap((target) => [
      copies(targetKeyFile(target), ['gate']),
      copies(targetKeyFile(target), ['credentials']),
    ]),
  ]);
}

export function targetKeyFile(target: string): string {
  return `target-${target}.key`;
}

async function ensureCopies(files: readonly string[]): Promise<void> {
  const found = await Promise.all(files.map(readPrivateFile));
  const values = new Set(found.flatMap((text) => (text === undefined ? [] : [text.trim()])));
  // Two halves that differ would only show later, as messages that nobody can read.
  if (values.size > 1) {
    throw new Refusal('CONFIG_INVALID', `expected one key in ${files.join(', ')}, found several`);
  }
  const [value = randomSecret()] = values;
  await Promise.all(
    files.map(async (file, index) => {
      if (found[index] === undefined) await writePrivateFile(file, `${value}\n`);
    }),
  );
}
