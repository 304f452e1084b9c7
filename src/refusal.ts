/**
 * Every no of Firebreak: one table of stable codes, one error class.
 * Callers compare codes, never classes: a class does not survive the workflow wall or an HTTP hop.
 */
type Meaning = { status: number; retry: boolean };

const no = (status: number): Meaning => ({ status, retry: false });
const later = (status: number): Meaning => ({ status, retry: true });

/** Code → HTTP status, and whether the same call may be tried again as it is. */
export const refusals = {
  // The door: form and identity of a call.
  MALFORMED_JSON: no(400),
  INVALID_INPUT: no(400),
  TOO_LARGE: no(413),
  UNKNOWN_ACTION: no(404),
  UNKNOWN_REQUEST: no(404),
  NO_RESULT: later(404),
  UNKNOWN_ROUTE: no(404),
  UNAUTHENTICATED: no(401),
  INVALID_TOKEN: no(401),
  INVALID_DPOP_PROOF: no(401),
  PROOF_REPLAYED: no(401),
  NOT_PERMITTED: no(403),
  IDEMPOTENCY_KEY_REUSED: no(422),
  RATE_LIMITED: later(429),
  // Sessions and context.
  SESSION_UNKNOWN: no(403),
  SESSION_EXPIRED: no(403),
  SESSION_REVOKED: no(403),
  CONTEXT_MISSING: no(403),
  CONTEXT_MISMATCH: no(403),
  WORKLOAD_UNKNOWN: no(403),
  // Policy and planning.
  POLICY_DENIED: no(403),
  POLICY_ERROR: no(403),
  STEP_UP_UNAVAILABLE: no(403),
  QUORUM_UNREACHABLE: no(403),
  PLAN_UNSUPPORTED: no(422),
  PLAN_TOO_LARGE: no(422),
  PLAN_CHANGED: no(409),
  PLAN_STALE: later(409),
  // People.
  SLACK_SIGNATURE: no(401),
  SLACK_STALE: no(401),
  SLACK_REPLAYED: no(409),
  UNKNOWN_PERSON: no(403),
  SELF_APPROVAL: no(403),
  NOT_ENTITLED: no(403),
  ALREADY_VOTED: no(409),
  VOTE_STALE: no(409),
  REQUEST_CLOSED: no(409),
  // The last check.
  APPROVAL_MISSING: no(403),
  APPROVAL_EXPIRED: no(403),
  APPROVAL_WITHDRAWN: no(403),
  DENIED: no(403),
  DIGEST_MISMATCH: no(403),
  CAPABILITY_INVALID: no(403),
  CAPABILITY_EXPIRED: no(403),
  CAPABILITY_SPENT: no(409),
  WRONG_KEY: no(403),
  EFFECT_EXISTS: no(409),
  RECEIPT_INVALID: no(403),
  RECEIPT_EXPIRED: no(410),
  POLICY_VERSION: no(409),
  REVOKED: no(403),
  CLOCKS_APART: later(503),
  ATTEMPTS_EXHAUSTED: no(409),
  // The target.
  TARGET_REFUSED: no(409),
  TARGET_UNREACHABLE: later(503),
  ROWS_CHANGED: no(409),
  NOTHING_KEPT: no(409),
  ALREADY_RESTORED: no(409),
  MAC_INVALID: no(403),
  // Between domains and below.
  CALL_UNAUTHENTICATED: no(401),
  CALL_NOT_PERMITTED: no(403),
  UNAVAILABLE: later(503),
  LEDGER_INVALID: no(500),
  CONFIG_INVALID: no(500),
  DATA_IN_USE: no(409),
  SETUP_FAILED: no(500),
  INTERNAL: no(500),
} as const satisfies Record<string, Meaning>;

export type RefusalCode = keyof typeof refusals;

type RefusalOptions = { cause?: unknown; details?: unknown };

/** A no with a stable code and a sentence for its reader; the cause stays in the log. */
export class Refusal extends Error {
  override name = 'Refusal';
  readonly code: RefusalCode;
  /** Safe to show to the caller, e.g. every fault of an input by JSON pointer. */
  readonly details: unknown;

  constructor(code: RefusalCode, message: string, options: RefusalOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.details = options.details;
  }
}

/** The code of any thrown thing; what is not a refusal is INTERNAL. */
export function codeOf(error: unknown): RefusalCode {
  return error instanceof Refusal ? error.code : 'INTERNAL';
}

export function isRefusalCode(code: unknown): code is RefusalCode {
  return typeof code === 'string' && Object.hasOwn(refusals, code);
}

/** Whether the same step may be tried again: what is not a refusal of ours was a crash or a timeout. */
export function mayTryAgain(code: string): boolean {
  return !isRefusalCode(code) || code === 'INTERNAL' || refusals[code].retry;
}
