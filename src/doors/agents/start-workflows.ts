import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import type { TemporalClient } from '../../temporal/client.ts';
import { withContext } from '../../temporal/context.ts';
import { WORKFLOW_QUEUE, workflowIdOf } from '../../temporal/queues.ts';
import { asUnreachable, isReachable } from '../../temporal/reachable.ts';
import type { Starter, StartRow } from './outbox.ts';

/** Starts the one workflow of a request; the request's id is the workflow's id, so twice is once. */
/** How long one start may take, milliseconds. */
const START_TIMEOUT_MS = 5_000;

export function createStarter(temporal: TemporalClient): Starter {
  return {
    start: async (row) => await startWorkflow(temporal, row),
    isReachable: async () => await isReachable(temporal),
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
    throw asUnreachable(error);
  }
}
