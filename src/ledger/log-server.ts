import type { FastifyInstance } from 'fastify';
import { createHttpServer } from '../call/serve.ts';
import type { Database } from '../database/pool.ts';
import type { Log } from '../log.ts';
import { Refusal } from '../refusal.ts';
import { newestCheckpoint } from './log-rows.ts';
import type { Sequencer } from './sequencer.ts';

type LogServerOptions = {
  database: Database;
  /** C2SP verifier key of the log, as the key manifest names it. */
  verifierKey: string;
  sequencer: Sequencer;
  log: Log;
};

const TEXT = 'text/plain; charset=utf-8';

/** What outsiders may read of the log, without asking who they are: a checkpoint holds hashes alone. */
export function createLogServer({
  database,
  verifierKey,
  sequencer,
  log,
}: LogServerOptions): FastifyInstance {
  const server = createHttpServer(log);
  server.get('/ledger/checkpoint', async (_request, reply) => {
    const newest = await newestCheckpoint(database);
    if (newest === undefined) throw new Refusal('UNAVAILABLE', 'log has no checkpoint yet');
    return await reply.type(TEXT).header('cache-control', 'no-cache').send(newest.note);
  });
  server.get('/ledger/vkey', async (_request, reply) => await reply.type(TEXT).send(`${verifierKey}\n`));
  server.get('/readyz', async (_request, reply) => {
    const missing = sequencer.isReachable() ? [] : ['database'];
    const isReady = missing.length === 0;
    return await reply.code(isReady ? 200 : 503).send({ status: isReady ? 'ready' : 'not-ready', missing });
  });
  return server;
}
