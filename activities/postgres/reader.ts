import { DatabaseError, type PoolClient } from 'pg';
import { z } from 'zod';
import type { PostgresReader } from '../../src/action/define.ts';
import { Refusal } from '../../src/refusal.ts';
import { settingLines } from './fingerprint.ts';
import { keepConnections, LIVES_SQL } from './kept-connections.ts';
import { PLANNER_KEPT_MAX } from './limits.ts';

const READER_CONNECT_TIMEOUT_MS = 5_000;
export const READER_STATEMENT_TIMEOUT_MS = 20_000;
const READER_LOCK_TIMEOUT_MS = 2_000;

/**
 * One look at a target: a single READ ONLY, REPEATABLE READ transaction, so that counts and rows come from one
 * state. It promises to write nothing and to end; it refuses whatever the login may not see.
 */
export async function openReader(
  url: string,
  target: string,
): Promise<PostgresReader & { close(): Promise<void> }> {
  const client = await connect(url, target);
  return {
    kind: 'postgres',
    target,
    async query(text, values, name) {
      try {
        const result = await client.query<Record<string, unknown>>({
          text,
          ...(values === undefined ? {} : { values: [...values] }),
          ...(name === undefined ? {} : { name }),
        });
        return result.rows;
      } catch (cause) {
        throw readRefusal(target, cause);
      }
    },
    // Nobody waits for it: the connection is not handed out before.
    async close() {
      void clean(client);
    },
  };
}

const connections = keepConnections({
  most: PLANNER_KEPT_MAX,
  application_name: 'firebreak-planner',
  connectionTimeoutMillis: READER_CONNECT_TIMEOUT_MS,
  query_timeout: READER_STATEMENT_TIMEOUT_MS + READER_CONNECT_TIMEOUT_MS,
});

async function connect(url: string, target: string): Promise<PoolClient> {
  try {
    return await connections.take(url, async (client) => await client.query(openingSql));
  } catch (cause) {
    throw new Refusal('TARGET_UNREACHABLE', `target "${target}" cannot be read by the planner's login`, {
      cause,
    });
  }
}

/** A plan is an action's own code and may have left anything in its session: the next look gets it as new. */
async function clean(client: PoolClient): Promise<void> {
  try {
    await client.query('rollback');
    const results: unknown = await client.query(cleaningSql);
    client.release(!isClean(results));
  } catch {
    client.release(true);
  }
}

/**
 * What `discard all` does, but for plans and statements that are prepared by name: planning again what the catalogs say
 * of a table took most of a look. Who has prepared one by SQL could have taken a name of ours.
 */
const cleaningSql = [
  'close all',
  'set session authorization default',
  'reset all',
  'unlisten *',
  'select pg_catalog.pg_advisory_unlock_all()',
  'discard temp',
  'discard sequences',
  'select exists (select from pg_catalog.pg_prepared_statements where from_sql) as prepared',
].join('; ');

const cleanSchema = z.tuple([z.object({ rows: z.tuple([z.object({ prepared: z.literal(false) })]) })]);

function isClean(results: unknown): boolean {
  return Array.isArray(results) && cleanSchema.safeParse(results.slice(-1)).success;
}

const openingSql = [
  'begin isolation level repeatable read read only',
  `set local statement_timeout = ${READER_STATEMENT_TIMEOUT_MS}`,
  `set local lock_timeout = ${READER_LOCK_TIMEOUT_MS}`,
  `set local idle_in_transaction_session_timeout = ${READER_STATEMENT_TIMEOUT_MS}`,
  ...settingLines('set local'),
  LIVES_SQL,
].join('; ');

/** Compiled names of SQLSTATE codes and classes that say something about the input or the login. */
function readRefusal(target: string, cause: unknown): Refusal {
  const state = cause instanceof DatabaseError ? (cause.code ?? '') : '';
  const said = cause instanceof DatabaseError ? cause.message : '';
  if (state === '42501') {
    return new Refusal('PLAN_UNSUPPORTED', `the planner's login may not read this of "${target}": ${said}`, {
      cause,
    });
  }
  // A value of the wrong form (class 22), or types that have no such comparison.
  if (state.startsWith('22') || state === '42883' || state === '42804' || state === '0A000') {
    return new Refusal('INVALID_INPUT', `a condition does not fit its column: ${said}`, { cause });
  }
  if (state === '57014' || state === '55P03') {
    return new Refusal('TARGET_REFUSED', `target "${target}" did not answer in time: ${said}`, { cause });
  }
  if (state === '' || state.startsWith('08') || state.startsWith('57P')) {
    return new Refusal('TARGET_UNREACHABLE', `target "${target}" was lost while reading`, { cause });
  }
  return new Refusal('TARGET_REFUSED', `target "${target}" refused to be read: ${said}`, { cause });
}
