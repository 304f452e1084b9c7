import { fileURLToPath } from 'node:url';
import { NativeConnection, Runtime, Worker, type WorkerOptions } from '@temporalio/worker';
import { Refusal } from '../refusal.ts';
import { workflowBundle } from './bundle.ts';
import { temporalConnectConfig } from './client.ts';
import { activityInterceptors } from './context.ts';
import { createDataConverter } from './converter.ts';

/** Room for the longest critical section to end at a shutdown; aborted activities would run twice. */
const SHUTDOWN_GRACE_MS = 20_000;
/** A worker that died leaves its sticky queue behind: look elsewhere soon, people are waiting. */
const STICKY_TIMEOUT_MS = 2_000;
/** Waiting workflows are evicted and replayed; the cache is never sized for them. */
const CACHED_WORKFLOWS_MAX = 500;

export type RunningWorker = { close(): Promise<void> };

type Options = {
  variables: NodeJS.ProcessEnv;
  codecKeyFile: string;
  taskQueue: string;
  /** Says whose worker this is in Temporal's own views. */
  identity: string;
  activities: object;
  /** Runs the workflows too: the orchestrator alone. */
  workflows: boolean;
  /** Called when the worker ends by itself. */
  onFailure: (error: unknown) => void;
};

export async function runWorker(options: Options): Promise<RunningWorker> {
  installRuntime();
  const { connectionOptions, namespace } = temporalConnectConfig(options.variables);
  const connection = await connect(connectionOptions);
  const worker = await Worker.create({
    connection,
    ...(namespace === undefined ? {} : { namespace }),
    taskQueue: options.taskQueue,
    identity: options.identity,
    activities: options.activities,
    dataConverter: await createDataConverter(options.codecKeyFile),
    interceptors: { activity: [activityInterceptors] },
    shutdownGraceTime: SHUTDOWN_GRACE_MS,
    stickyQueueScheduleToStartTimeout: STICKY_TIMEOUT_MS,
    maxCachedWorkflows: CACHED_WORKFLOWS_MAX,
    ...(options.workflows ? await workflowOptions() : {}),
  });
  const run = worker.run();
  let closing = false;
  run.catch((error: unknown) => {
    if (!closing) options.onFailure(error);
  });
  return {
    async close() {
      closing = true;
      if (worker.getState() === 'RUNNING') worker.shutdown();
      await run;
      await connection.close();
    },
  };
}

let installed = false;

/** Once a process. Signals are the process's own business: parts are closed in order there. */
function installRuntime(): void {
  if (installed) return;
  installed = true;
  Runtime.install({ shutdownSignals: [], telemetryOptions: { logging: { filter: 'ERROR', forward: {} } } });
}

async function connect(options: Parameters<typeof NativeConnection.connect>[0]): Promise<NativeConnection> {
  try {
    return await NativeConnection.connect(options);
  } catch (cause) {
    throw new Refusal('UNAVAILABLE', `Temporal cannot be reached at ${options?.address ?? 'its default'}`, {
      cause,
    });
  }
}

async function workflowOptions(): Promise<Partial<WorkerOptions>> {
  return {
    workflowBundle: await workflowBundle(fileURLToPath(new URL('../../workflows/', import.meta.url))),
  };
}
