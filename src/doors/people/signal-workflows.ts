import { WorkflowNotFoundError } from '@temporalio/client';
import type { TemporalClient } from '../../temporal/client.ts';
import { withContext } from '../../temporal/context.ts';
import { workflowIdOf } from '../../temporal/queues.ts';
import { asUnreachable, isReachable } from '../../temporal/reachable.ts';
import type { LookRow, Ringer } from './ring.ts';

/** Tells a request's workflow to look at the store: a doorbell without a message. */
const SIGNAL = 'look';
/** How long one signal may take, milliseconds. */
const SIGNAL_TIMEOUT_MS = 5_000;

export function createRinger(temporal: TemporalClient): Ringer {
  return {
    look: async (row) => await signal(temporal, row),
    isReachable: async () => await isReachable(temporal),
    close: async () => await temporal.close(),
  };
}

async function signal({ client }: TemporalClient, row: LookRow): Promise<void> {
  const send = async () => await client.workflow.getHandle(workflowIdOf(row.requestId)).signal(SIGNAL);
  try {
    await withContext(
      row.contextEnvelope,
      async () => await client.withDeadline(Date.now() + SIGNAL_TIMEOUT_MS, send),
    );
  } catch (error) {
    // It has ended: nobody is left to look, and what it ended with stands in the store.
    if (error instanceof WorkflowNotFoundError) return;
    throw asUnreachable(error);
  }
}
