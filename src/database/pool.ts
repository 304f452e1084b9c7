import { Client, DatabaseError, Pool, type PoolClient } from 'pg';
import type { z } from 'zod';
import { sha256Base64url } from '../canonical.ts';
import { isRefusalCode, Refusal } from '../refusal.ts';

/** One domain's door to the database, by its own login. */
export type Database = {
  /** Rows of one statement, each parsed by the schema. */
  rows<S extends z.ZodType>(schema: S, text: string, values?: readonly unknown[]): Promise<z.infer<S>[]>;
  run(text: string, values?: readonly unknown[]): Promise<void>;
  /** READ COMMITTED; rolled back when `work` throws. */
  transaction<T>(work: (tx: Database) => Promise<T>): Promise<T>;
};

export type DatabasePool = Database & {
  /** Calls `heard` for each notification until closed; reconnects by itself. */
  listen(channels: readonly string[], heard: (channel: string, payload: string) => void): Promise<void>;
  close(): Promise<void>;
};

const CONNECT_TIMEOUT_MS = 5_000;
const STATEMENT_TIMEOUT_MS = 30_000;
const RECONNECT_DELAY_MS = 500;
const CONNECTIONS_MAX = 8;

/** The isolation is named, because consume stands on it and a server's default may differ. */
const BEGIN = 'begin isolation level read committed';

export function openDatabase(url: string, onError: (error: Error) => void): DatabasePool {
  const config = {
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
  };
  const pool = new Pool({ ...config, max: CONNECTIONS_MAX, idleTimeoutMillis: 60_000 });
  // An idle connection that breaks is replaced at its next use; without a listener it would end the process.
  pool.on('error', (error) => {
    // A closed pool says goodbye without waiting: a server that goes down right then is no trouble of anybody.
    if (!closed) onError(error);
  });
  const listeners = new Set<Client>();
  let closed = false;

  async function hear(channels: readonly string[], heard: (channel: string, payload: string) => void) {
    const client = new Client(config);
    client.on('notification', ({ channel, payload }) => heard(channel, payload ?? ''));
    client.on('error', onError);
    client.on('end', () => {
      listeners.delete(client);
      if (!closed) setTimeout(() => void hear(channels, heard).catch(onError), RECONNECT_DELAY_MS).unref();
    });
    await client.connect();
    listeners.add(client);
    for (const channel of channels) await client.query(`listen ${client.escapeIdentifier(channel)}`);
    // What happened while nobody listened was not heard: look once.
    for (const channel of channels) heard(channel, '');
  }

  return {
    ...queries(pool),
    async transaction(work) {
      const client = await connect(pool);
      // A connection that breaks while it is lent says so twice: to its statement, and here. Unheard, it ends the process.
      client.on('error', onError);
      try {
        return await inTransaction(client, work);
      } finally {
        client.off('error', onError);
        client.release();
      }
    },
    listen: hear,
    async close() {
      closed = true;
      await Promise.all([...listeners].map(async (client) => await client.end()));
      await pool.end();
    },
  };
}

async function connect(pool: Pool): Promise<PoolClient> {
  try {
    return await pool.connect();
  } catch (cause) {
    throw new Refusal('UNAVAILABLE', 'database cannot be reached', { cause });
  }
}

async function inTransaction<T>(client: PoolClient, work: (tx: Database) => Promise<T>): Promise<T> {
  const tx: Database = { ...queries(client), transaction: async (inner) => await inner(tx) };
  await tx.run(BEGIN);
  try {
    const result = await work(tx);
    await tx.run('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch((cause: unknown) => {
      throw new Refusal('UNAVAILABLE', 'database broke off inside a transaction', { cause });
    });
    throw error;
  }
}

function queries(runner: Pool | PoolClient): Pick<Database, 'rows' | 'run'> {
  const query = async (text: string, values: readonly unknown[] = []) => {
    try {
      return await runner.query(
        values.length === 0 ? { text } : { name: nameOf(text), text, values: [...values] },
      );
    } catch (error) {
      throw asRefusal(error);
    }
  };
  return {
    rows: async (schema, text, values) => {
      const { rows } = await query(text, values);
      return rows.map((row: unknown) => schema.parse(row));
    },
    run: async (text, values) => void (await query(text, values)),
  };
}

const names = new Map<string, string>();

/**
 * A statement with parameters is one of a fixed set of texts in this code: prepared once a connection, under a name, so
 * that the server parses and plans it once and not at each call. Texts with `select *` would break when a column is added.
 */
function nameOf(text: string): string {
  const name = names.get(text) ?? `firebreak ${sha256Base64url(text)}`;
  names.set(text, name);
  return name;
}

/**
 * SQLSTATE classes of a server that is going, coming, or full: connection exception, insufficient resources, operator
 * intervention. It said no to everybody, and the same call may be made again.
 */
const AWAY_CLASSES: readonly string[] = ['08', '53', '57P'];

/** Our functions raise SQLSTATE class FB with a refusal code as message; all else is the database's own trouble. */
function asRefusal(error: unknown): Error {
  if (!(error instanceof DatabaseError) || AWAY_CLASSES.some((kind) => error.code?.startsWith(kind))) {
    return new Refusal('UNAVAILABLE', 'database cannot be reached', { cause: error });
  }
  if (error.code?.startsWith('FB') === true && isRefusalCode(error.message)) {
    return new Refusal(error.message, error.detail ?? 'the database refused', { cause: error });
  }
  return error;
}

/** The name of the violated unique constraint, where that is what failed. */
export function uniqueViolationOf(error: unknown): string | undefined {
  return error instanceof DatabaseError && error.code === '23505' ? error.constraint : undefined;
}
