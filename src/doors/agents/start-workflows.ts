import { isGrpcServiceError, ServiceError, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { Refusal } from '../../refusal.ts';
import type { connectTemporal } from '../../temporal/client.ts';
import { withContext } from '../../temporal/context.ts';
import { WORKFLOW_QUEUE, workflowIdOf } from '../../temporal/queues.ts';
import type { Starter, StartRow } from './outbox.ts';

/** Starts the one workflow of a request; the request's id is the workflow's id, so twice is once. */
type TemporalClient = Awaited<ReturnType<typeof connectTemporal>>;

/** How long one start may take, milliseconds. */
const START_TIMEOUT_MS = 5_000;
const PING_TIMEOUT_MS = 1_000;
/** DEADLINE_EXCEEDED and UNAVAILABLE: gRPC's words for a server that is silent or away. */
const GRPC_UNREACHABLE: readonly number[] = [4, 14];

export function createStarter(temporal: TemporalClient): Starter {
  const { client } = temporal;
  return {
    start: async (row) => await startWorkflow(temporal, row),
    async isReachable() {
      const ask = async () => await client.workflowService.getSystemInfo({});
      return await client.withDeadline(Date.now() + PING_TIMEOUT_MS, ask).then(
        () => true,
        () => false,
      );
    },
    close: async () => await temporal.close(),
  };
}

async function startWorkflow({ client }: TemporalClient, row: StartRow): Promise<void> {
  const { requestId, revision, contextEnvelope } = row;
  // No execution or run timeout: waiting for people takes as long as the request says, and the workflow ends itself.
  const start = async () =>
    await client.workflow.start('request', {
      workflowId: workflowIdOf(requestId),
      taskQueue: WORKFLOW_QUEUE,
      args: [{ requestId, revision }],
      workflowIdConflictPolicy: 'USE_EXISTING',
      workflowIdReusePolicy: 'REJECT_DUPLICATE',
    });
  const soon = async () => await client.withDeadline(Date.now() + START_TIMEOUT_MS, start);
  try {
    await withContext(contextEnvelope, soon);
  } catch (error) {
    // Its workflow ran and has ended: started is all that this row wants.
    if (error instanceof WorkflowExecutionAlreadyStartedError) return;
    if (isUnreachable(error))
      throw new Refusal('UNAVAILABLE', 'Temporal cannot be reached', { cause: error });
    throw error;
  }
}

function isUnreachable(error: unknown): boolean {
  const cause = error instanceof ServiceError ? error.cause : error;
  return isGrpcServiceError(cause) && GRPC_UNREACHABLE.includes(cause.code);
}
