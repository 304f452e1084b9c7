import type { Headers, WorkflowInterceptorsFactory } from '@temporalio/workflow';
import { CONTEXT_HEADER } from '../src/temporal/header.ts';

/** Hands the sealed context of the start on to every activity, unopened: no key and no command in here. */
export const interceptors: WorkflowInterceptorsFactory = () => {
  let context: Headers = {};
  const put = (headers: Headers): Headers => ({ ...headers, ...context });
  return {
    inbound: [
      {
        async execute(input, next) {
          const payload = input.headers[CONTEXT_HEADER];
          if (payload !== undefined) context = { [CONTEXT_HEADER]: payload };
          return await next(input);
        },
      },
    ],
    outbound: [
      {
        scheduleActivity: async (input, next) => await next({ ...input, headers: put(input.headers) }),
        scheduleLocalActivity: async (input, next) => await next({ ...input, headers: put(input.headers) }),
      },
    ],
  };
};
