import { ApplicationFailure } from '@temporalio/common';
import { codeOf, mayTryAgain } from '../src/refusal.ts';

/** The one place where a refusal becomes Temporal's own failure: its type is the code, its cause stays here. */
export function asFailure(error: unknown): ApplicationFailure {
  const code = codeOf(error);
  return ApplicationFailure.create({
    type: code,
    message: error instanceof Error ? error.message : 'something failed inside',
    nonRetryable: !mayTryAgain(code),
  });
}
