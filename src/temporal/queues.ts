/** Task queues: one for the workflows, one for the planner, one for each executor's family and environment. */
export const WORKFLOW_QUEUE = 'firebreak';
export const PLANNER_QUEUE = 'firebreak-planner';

/** @param executor tool family and environment, e.g. `postgres-production`. */
export function executorQueue(executor: string): string {
  return `firebreak-executor-${executor}`;
}

/** A workflow's id is its request's: one request, one workflow, for ever. */
export function workflowIdOf(requestId: string): string {
  return `request/${requestId}`;
}
