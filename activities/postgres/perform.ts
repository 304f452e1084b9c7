import { DatabaseError, type PoolClient } from 'pg';
import { z } from 'zod';
import { type BorrowedCredential, type EffectResult, effectResultSchema } from '../../src/action/define.ts';
import { Refusal, type RefusalCode } from '../../src/refusal.ts';
import { keepConnections, LIVES_SQL } from './kept-connections.ts';
import {
  EXECUTOR_KEPT_MAX,
  TARGET_CONNECT_TIMEOUT_MS,
  TARGET_PROBE_TIMEOUT_MS,
  TARGET_STATEMENT_TIMEOUT_MS,
} from './limits.ts';

/** The SQLSTATE codes of target-*.sql. A code that is not here is never guessed at. */
const targetCodes: Record<string, RefusalCode> = {
  ZF001: 'MAC_INVALID',
  ZF002: 'TARGET_REFUSED', // a form that the target does not know
  ZF003: 'TARGET_REFUSED', // another target
  ZF004: 'TARGET_REFUSED', // expired
  ZF005: 'EFFECT_EXISTS',
  ZF006: 'ROWS_CHANGED',
  ZF007: 'TARGET_REFUSED', // triggers, cascades or columns appeared
  ZF008: 'TARGET_REFUSED', // the session's own settings
  ZF009: 'NOTHING_KEPT',
  ZF010: 'TOO_LARGE', // more rows or bytes than one read hands out
  ZF011: 'ALREADY_RESTORED',
};

const answerSchema = z.tuple([z.strictObject({ result: effectResultSchema })]);

/**
 * One call of `firebreak.perform`. It promises that a refusal says in `details.outcome` whether nothing was
 * done (`none`) or nobody here can know (`unknown`); the target's own record answers the second. Safe to call
 * twice with the same credential.
 */
export async function performOnTarget(
  credential: BorrowedCredential,
  targetUrl: string,
): Promise<EffectResult> {
  const client = await connect(targetUrl);
  let rows: unknown;
  try {
    ({ rows } = await client.query('select firebreak.perform($1, $2, $3) as result', [
      credential.statement,
      credential.gateMac,
      credential.credentialsMac,
    ]));
  } catch (cause) {
    client.release(true);
    throw performRefusal(cause);
  }
  client.release();
  return readAnswer(rows);
}

/** By its login, which may call that one function: a kept connection holds nothing of whoever used it before. */
const connections = keepConnections({
  most: EXECUTOR_KEPT_MAX,
  application_name: 'firebreak-executor',
  connectionTimeoutMillis: TARGET_CONNECT_TIMEOUT_MS,
  statement_timeout: TARGET_STATEMENT_TIMEOUT_MS,
  query_timeout: TARGET_STATEMENT_TIMEOUT_MS + TARGET_CONNECT_TIMEOUT_MS,
});

const probe = { text: LIVES_SQL, query_timeout: TARGET_PROBE_TIMEOUT_MS };

async function connect(url: string): Promise<PoolClient> {
  try {
    return await connections.take(url, async (client) => await client.query(probe));
  } catch (cause) {
    throw new Refusal('TARGET_UNREACHABLE', "the target cannot be reached by the executor's login", {
      cause,
      details: { outcome: 'none' },
    });
  }
}

function readAnswer(rows: unknown): EffectResult {
  const answer = answerSchema.safeParse(rows);
  if (answer.success) return answer.data[0].result;
  throw new Refusal('TARGET_REFUSED', 'the target answered in another form than agreed', {
    cause: answer.error,
    details: { outcome: 'unknown' },
  });
}

function performRefusal(cause: unknown): Refusal {
  const state = cause instanceof DatabaseError ? (cause.code ?? '') : '';
  // Without an answer from the statement itself, or with a server that went away, the commit may have happened.
  if (!(cause instanceof DatabaseError) || state.startsWith('08') || state.startsWith('57P')) {
    return new Refusal('TARGET_UNREACHABLE', 'the target was lost before it answered', {
      cause,
      details: { outcome: 'unknown' },
    });
  }
  const details = { outcome: 'none', sqlState: state };
  const code = Object.hasOwn(targetCodes, state) ? targetCodes[state] : undefined;
  if (code !== undefined) return new Refusal(code, cause.message, { cause, details });
  // Everybody else's message may quote a value of a row, and a refusal's words go into the ledger and into logs.
  const by = cause.constraint === undefined ? '' : ` by ${cause.constraint}`;
  return new Refusal('TARGET_REFUSED', `the target refused with SQLSTATE ${state}${by}`, { details });
}
