/** The activities by the domain whose worker registers them. */
export { createPerformActivities } from './perform.ts';
export { createPlannerActivities } from './plan.ts';
export { createSteps } from './steps.ts';
