import { fileURLToPath } from 'node:url';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { Pool } from 'pg';
import { BARE_QUEUE } from './bare-queue.ts';

/**
 * The peer's worker, a process of its own: workflow and activity in one, as most people run it, with a standing
 * credential and connections that stay open. It ends with its parent.
 */
const CACHED_WORKFLOWS_MAX = 500;
const STICKY_TIMEOUT_MS = 2_000;

const { TEMPORAL_ADDRESS: address = '', BARE_DATABASE_URL: url = '' } = process.env;

Runtime.install({ shutdownSignals: [], logger: new DefaultLogger('ERROR') });
const pool = new Pool({ connectionString: url, application_name: 'bench-bare' });
// A target that ends first says so to idle connections too; unheard, it ends the process.
pool.on('error', () => undefined);
const connection = await NativeConnection.connect({ address });
const worker = await Worker.create({
  connection,
  taskQueue: BARE_QUEUE,
  workflowsPath: fileURLToPath(new URL('bare-workflow.ts', import.meta.url)),
  stickyQueueScheduleToStartTimeout: STICKY_TIMEOUT_MS,
  maxCachedWorkflows: CACHED_WORKFLOWS_MAX,
  activities: {
    async deleteRow(row: number): Promise<number> {
      const { rowCount } = await pool.query('delete from newsletter_subscriptions where id = $1', [row]);
      return rowCount ?? 0;
    },
    async readRow(row: number): Promise<unknown> {
      const { rows } = await pool.query<{ row: unknown }>(
        'select to_jsonb(s) as row from newsletter_subscriptions s where id = $1',
        [row],
      );
      return rows[0]?.row;
    },
  },
});
const stop = () => {
  if (worker.getState() === 'RUNNING') worker.shutdown();
};
process.once('disconnect', stop);
process.once('SIGTERM', stop);
const running = worker.run();
process.send?.('ready');
await running;
await connection.close();
await pool.end();
if (process.connected) process.disconnect();
