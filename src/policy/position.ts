import type { DetailedError } from '@cedar-policy/cedar-wasm/nodejs';
import { Refusal } from '../refusal.ts';

/** A file of a bundle; `text` is exactly its bytes, read as UTF-8. */
export type PolicyFile = { name: string; text: string };

/** A place in a file: bytes from its start, as Cedar counts. */
export type Place = { file: PolicyFile; offset: number };

/** `CONFIG_INVALID: maintenance.cedar:12:3: what was expected and what came`. */
export function policyFault({ file, offset }: Place, sentence: string): Refusal {
  const before = Buffer.from(file.text).subarray(0, offset).toString().split('\n');
  const column = Array.from(before.at(-1) ?? '').length + 1;
  return new Refusal('CONFIG_INVALID', `${file.name}:${before.length}:${column}: ${sentence}`);
}

/** @param start the place that Cedar's own offsets count from. */
export function cedarFault(start: Place, errors: readonly DetailedError[]): Refusal {
  const [error] = errors;
  if (error === undefined) return policyFault(start, 'Cedar refused this without saying why');
  const offset = error.sourceLocations?.[0]?.start ?? 0;
  const help = error.help === null ? '' : ` (${error.help})`;
  return policyFault({ ...start, offset: start.offset + offset }, `${error.message}${help}`);
}
