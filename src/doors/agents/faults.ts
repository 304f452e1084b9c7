import type { z } from 'zod';

/** One fault of an input, at its place. */
export type Fault = { pointer: string; message: string };

/** Most faults in one answer. */
const FAULTS_MAX = 1_000;
/** Most characters of all faults in one answer: a long member name would be repeated in every pointer below it. */
const CHARACTERS_MAX = 256 * 1_024;

/** Every fault, up to what an answer may hold; a cut list says that it was cut. */
export class FaultList {
  readonly list: Fault[] = [];
  #characters = 0;
  full = false;

  add(fault: Fault): void {
    if (this.full) return;
    this.#characters += fault.pointer.length + fault.message.length;
    this.full = this.list.length >= FAULTS_MAX || this.#characters > CHARACTERS_MAX;
    this.list.push(this.full ? { pointer: '', message: 'more faults follow' } : fault);
  }
}

/** RFC 6901 3; a lone surrogate of a name becomes U+FFFD, because the answer is UTF-8. */
export function pointerOf(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${escapeToken(String(part))}`).join('');
}

function escapeToken(token: string): string {
  return token.toWellFormed().replaceAll('~', '~0').replaceAll('/', '~1');
}

/** A schema's issues as faults; `base` is where the checked value stands in the body. */
export function faultsOfIssues(
  issues: readonly z.core.$ZodIssue[],
  base: readonly PropertyKey[] = [],
): Fault[] {
  return issues.flatMap((issue) => faultsOfIssue(issue, [...base, ...issue.path]));
}

function faultsOfIssue(issue: z.core.$ZodIssue, path: readonly PropertyKey[]): Fault[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ pointer: pointerOf([...path, key]), message: 'unknown member' }));
  }
  if (issue.code === 'invalid_union') {
    // The branch with the fewest issues is the one that was most likely meant.
    const [closest] = issue.errors.toSorted((left, right) => left.length - right.length);
    if (closest !== undefined && closest.length > 0) return faultsOfIssues(closest, path);
  }
  return [{ pointer: pointerOf(path), message: issue.message }];
}

export function listed(faults: readonly Fault[]): Fault[] {
  const found = new FaultList();
  for (const fault of faults) found.add(fault);
  return found.list;
}
