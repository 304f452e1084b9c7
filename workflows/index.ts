/** What the orchestrator's worker registers: exactly the workflows, by name. */
export { request } from './request.ts';
