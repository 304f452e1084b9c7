import { isGrpcServiceError, ServiceError, WorkflowNotFoundError } from '@temporalio/client';
import { Refusal } from '../../refusal.ts';
import type { connectTemporal } from '../../temporal/client.ts';
import { withContext } from '../../temporal/context.ts';
import { workflowIdOf } from '../../temporal/queues.ts';
import type { LookRow, Ringer } from './ring.ts';

/** Tells a request's workflow to look at the store: a doorbell without a message. */
type TemporalClient = Awaited<ReturnType<typeof connectTemporal>>;

const SIGNAL = 'look';
/** How long one signal may take, milliseconds. */
const SIGNAL_TIMEOUT_MS = 5_000;
const PING_TIMEOUT_MS = 1_000;
/** DEADLINE_EXCEEDED and UNAVAILABLE: gRPC's words for a server that is silent or away. */
const GRPC_UNREACHABLE: readonly number[] = [4, 14];

export function createRinger(temporal: TemporalClient): Ringer {
  const { client } = temporal;
  return {
    look: async (row) => await signal(temporal, row),
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
    if (isUnreachable(error))
      throw new Refusal('UNAVAILABLE', 'Temporal cannot be reached', { cause: error });
    throw error;
  }
}

function isUnreachable(error: unknown): boolean {
  const cause = error instanceof ServiceError ? error.cause : error;
  return isGrpcServiceError(cause) && GRPC_UNREACHABLE.includes(cause.code);
}
