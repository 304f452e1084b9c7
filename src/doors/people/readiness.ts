import type { FastifyInstance } from 'fastify';
import type { Database } from '../../database/pool.ts';

type Reachable = { isReachable(): Promise<boolean> };

type Parts = {
  database: Database;
  slack: Reachable;
  temporal: Reachable;
  mode: 'development' | 'production';
};

/** `/readyz` names what is missing. Slack's or Temporal's absence stops no vote that is already durable. */
export function registerReadiness(server: FastifyInstance, { database, slack, temporal, mode }: Parts): void {
  server.get('/readyz', async (_request, reply) => {
    const parts = [
      ['database', isThere(database)],
      ['slack', slack.isReachable()],
      ['temporal', temporal.isReachable()],
    ] as const;
    const answers = await Promise.all(parts.map(async ([name, there]) => ((await there) ? [] : [name])));
    const missing = answers.flat();
    const isReady = missing.length === 0;
    return await reply
      .code(isReady ? 200 : 503)
      .send({ status: isReady ? 'ready' : 'not-ready', missing, mode });
  });
}

async function isThere(database: Database): Promise<boolean> {
  return await database.run('select').then(
    () => true,
    () => false,
  );
}
