import { Pool, type PoolClient, type PoolConfig } from 'pg';

/**
 * Connections to targets that stay open between two uses: opening one costs more than what is done with it. It
 * promises that a connection that is handed out has answered a moment ago, so that one that died unseen never turns
 * what was not even sent into something that nobody can know.
 */
export type KeptConnections = {
  /**
   * @param open asked of the connection first; it changes nothing at the target, because it may run twice.
   * Throws what the connecting or the opening threw.
   */
  take(url: string, open: (client: PoolClient) => Promise<unknown>): Promise<PoolClient>;
};

/** An error where the login was dropped since, even if another one has its name now: the connection is still the old one's. */
export const LIVES_SQL = 'select current_user';

type KeptOptions = Omit<PoolConfig, 'connectionString' | 'max'> & {
  /** Below the connections that the target grants to this login; whoever comes later waits. */
  most: number;
};

const IDLE_MAX_MS = 5 * 60_000;
/** What changes at the target, a password or a host behind a name, is noticed after this. */
const AGE_MAX_S = 30 * 60;

export function keepConnections({ most, ...config }: KeptOptions): KeptConnections {
  const pools = new Map<string, Pool>();
  const used = new WeakSet<PoolClient>();
  return {
    async take(url, open) {
      const pool = pools.get(url) ?? openPool({ ...config, connectionString: url, max: most });
      pools.set(url, pool);
      for (;;) {
        const client = await pool.connect();
        try {
          await open(client);
          used.add(client);
          return client;
        } catch (error) {
          client.release(true);
          // Only a new connection's no is the target's: a kept one may have died since.
          if (!used.has(client)) throw error;
        }
      }
    },
  };
}

function openPool(config: PoolConfig): Pool {
  const pool = new Pool({
    ...config,
    idleTimeoutMillis: IDLE_MAX_MS,
    maxLifetimeSeconds: AGE_MAX_S,
    // A process that has closed its parts ends; kept connections do not hold it.
    allowExitOnIdle: true,
  });
  // A connection that dies is told by its next use; without listeners it would end the process instead.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}
