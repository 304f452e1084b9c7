import { isGrpcServiceError, ServiceError } from '@temporalio/client';
import { Refusal } from '../refusal.ts';
import type { TemporalClient } from './client.ts';

const PING_TIMEOUT_MS = 1_000;
/** DEADLINE_EXCEEDED and UNAVAILABLE: gRPC's words for a server that is silent or away. */
const GRPC_UNREACHABLE: readonly number[] = [4, 14];

export async function isReachable({ client }: TemporalClient): Promise<boolean> {
  const ask = async () => await client.workflowService.getSystemInfo({});
  return await client.withDeadline(Date.now() + PING_TIMEOUT_MS, ask).then(
    () => true,
    () => false,
  );
}

/** UNAVAILABLE where nobody is there; anything else stays what it was. */
export function asUnreachable(error: unknown): unknown {
  const cause = error instanceof ServiceError ? error.cause : error;
  return isGrpcServiceError(cause) && GRPC_UNREACHABLE.includes(cause.code)
    ? new Refusal('UNAVAILABLE', 'Temporal cannot be reached', { cause: error })
    : error;
}
