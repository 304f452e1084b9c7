import type { RequestState } from '../database/requests.ts';

/** Exit codes that scripts rely on. */
export const exitCodes = { done: 0, refused: 1, usage: 2, waiting: 3, expired: 4, indeterminate: 5 } as const;

const byState: Record<RequestState, number> = {
  done: exitCodes.done,
  denied: exitCodes.refused,
  cancelled: exitCodes.refused,
  failed: exitCodes.refused,
  accepted: exitCodes.waiting,
  waiting: exitCodes.waiting,
  performing: exitCodes.waiting,
  expired: exitCodes.expired,
  indeterminate: exitCodes.indeterminate,
};

export function exitCodeOf(state: RequestState): number {
  return byState[state];
}
