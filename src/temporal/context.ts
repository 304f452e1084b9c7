import { AsyncLocalStorage } from 'node:async_hooks';
import type { WorkflowClientInterceptor } from '@temporalio/client';
import { defaultPayloadConverter, type Headers } from '@temporalio/common';
import type { ActivityInboundCallsInterceptor, ActivityInterceptorsFactory } from '@temporalio/worker';
import { CONTEXT_HEADER } from './header.ts';

/**
 * The sealed context token over every hop: client start and signal, workflow, activity. Nobody on the way can open
 * it; broker, planner and executor do, and check it where power is used.
 */
const current = new AsyncLocalStorage<string>();

/** Runs client calls under one request's sealed context. */
export async function withContext<T>(envelope: string, work: () => Promise<T>): Promise<T> {
  return await current.run(envelope, work);
}

/** The sealed context that this activity was called with; undefined when it was stripped. */
export function currentEnvelope(): string | undefined {
  return current.getStore();
}

export const clientInterceptor: WorkflowClientInterceptor = {
  startWithDetails: async (input, next) => await next({ ...input, headers: put(input.headers) }),
  signal: async (input, next) => await next({ ...input, headers: put(input.headers) }),
};

/** Well inside every heartbeat timeout of ours: a worker that was killed is missed after seconds. */
const HEARTBEAT_PERIOD_MS = 1_000;

export const activityInterceptors: ActivityInterceptorsFactory = (context) => ({
  inbound: {
    async execute(input, next) {
      const beating = setInterval(() => context.heartbeat(), HEARTBEAT_PERIOD_MS);
      try {
        return await executeInContext(input, next);
      } finally {
        clearInterval(beating);
      }
    },
  },
});

const executeInContext: NonNullable<ActivityInboundCallsInterceptor['execute']> = async (input, next) => {
  const payload = input.headers[CONTEXT_HEADER];
  const envelope: unknown = payload === undefined ? undefined : defaultPayloadConverter.fromPayload(payload);
  if (typeof envelope !== 'string') return await next(input);
  return await current.run(envelope, async () => await next(input));
};

function put(headers: Headers): Headers {
  const envelope = current.getStore();
  if (envelope === undefined) return headers;
  return { ...headers, [CONTEXT_HEADER]: defaultPayloadConverter.toPayload(envelope) };
}
