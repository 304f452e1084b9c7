import {
  ActivityFailure,
  ApplicationFailure,
  condition,
  defineSignal,
  proxyActivities,
  proxyLocalActivities,
  setHandler,
  sleep,
} from '@temporalio/workflow';
import type { PerformActivities } from '../activities/perform.ts';
import type { PlannerActivities } from '../activities/plan.ts';
import type { RequestReference, Steps, Verdict } from '../activities/steps.ts';
import { mayTryAgain } from '../src/refusal.ts';
import { executorQueue, PLANNER_QUEUE } from '../src/temporal/queues.ts';
import { Doorbell } from './doorbell.ts';

/**
 * The life of one request, in order: decide, plan, decide, ask people, wait, perform, record.
 * Nothing in here is an authority: signals only say *look*, and every answer that matters is read from signed
 * objects in the store, by whoever uses power.
 */
export const look = defineSignal('look');

/** How often an unconsumed attempt may be repeated. */
const ATTEMPTS_MAX = 3;
/** How often a part that is away is waited for; an approval's own expiry ends it long before. */
const WAITS_MAX = 500;
const WAIT_MAX_MS = 30_000;
/** How long one attempt waits for an executor to take it. */
const PICK_UP_MAX_MS = 3_600_000;
/** The store's clock decides on expiry and may be behind ours: ask it again, and not all the time. */
const LOOK_PAUSE_MIN_MS = 1_000;
/** How often a plan may change under people's eyes before the request gives up. */
const ROUNDS_MAX = 5;
const ATTEMPT_PAUSE_MS = 2_000;

/** Plain calls of the orchestrator: local, because a normal activity costs two more hops. */
const steps = proxyLocalActivities<Steps>({
  startToCloseTimeout: '30 seconds',
  retry: { initialInterval: '200 milliseconds', maximumInterval: '30 seconds', maximumAttempts: 1_000 },
});
const planner = proxyActivities<PlannerActivities>({
  taskQueue: PLANNER_QUEUE,
  startToCloseTimeout: '90 seconds',
  heartbeatTimeout: '10 seconds',
  retry: { initialInterval: '1 second', maximumInterval: '30 seconds', maximumAttempts: 200 },
});

export async function request(reference: RequestReference | undefined): Promise<Verdict> {
  // A start that was not ours carries nothing that can be read.
  if (reference === undefined) throw ApplicationFailure.nonRetryable('expected a request', 'CONTEXT_MISSING');
  // Before any await: a click may be here already.
  const bell = new Doorbell();
  setHandler(look, () => bell.ring());

  const { isRecorded, ...verdict } = await decideToPerform(reference, bell);
  if (isRecorded !== true) await steps.end({ ...reference, ...verdict });
  return verdict;
}

/** What the gate has settled is recorded in the same step: one step less between the effect and its result. */
type Ending = Verdict & { isRecorded?: boolean };

async function decideToPerform(reference: RequestReference, bell: Doorbell): Promise<Ending> {
  const first = await steps.decide({ ...reference, stage: 'submit' });
  if (first.verdict !== null) return first.verdict;
  for (let round = 1; round <= ROUNDS_MAX; round += 1) {
    const verdict = await planAskPerform(reference, bell);
    if (verdict !== 'plan-changed') return verdict;
  }
  return { state: 'failed', code: 'PLAN_CHANGED' };
}

type Planned = Awaited<ReturnType<PlannerActivities['plan']>>;

async function planAskPerform(reference: RequestReference, bell: Doorbell): Promise<Ending | 'plan-changed'> {
  const planned: Planned | undefined = await planner.plan(reference);
  // Completed by a stranger: what it says cannot be read, and no plan was stored by it.
  if (planned === undefined) return { state: 'failed', code: 'CONTEXT_MISMATCH' };
  if (planned.code !== null) return { state: 'failed', code: planned.code };
  const decided = await steps.decide({ ...reference, stage: 'plan' });
  if (decided.verdict !== null) return decided.verdict;
  const { executor } = planned;
  if (decided.decision === 'allow') return await perform(reference, { executor, untilMs: Infinity });
  const waited = await waitForPeople(reference, bell);
  return waited.verdict ?? (await perform(reference, { executor, untilMs: waited.expiresAtMs }));
}

type Waited = { verdict: Verdict } | { verdict: null; expiresAtMs: number };

/** No verdict once approved. Deny and expiry win ties, because the store is asked and not the signal. */
async function waitForPeople(reference: RequestReference, bell: Doorbell): Promise<Waited> {
  const asked = await steps.ask(reference);
  if (asked.verdict !== null) return asked;
  const { digest, expiresAtMs } = asked;
  for (;;) {
    await condition(() => bell.heard(), Math.max(LOOK_PAUSE_MIN_MS, expiresAtMs - Date.now()));
    const seen = await steps.look({ ...reference, digest });
    if (seen.kind === 'approved') return { verdict: null, expiresAtMs };
    if (seen.kind === 'ended') return seen;
  }
}

/** Who performs, and until when: an approval that has expired while a part was away is not waited for any more. */
type Term = { executor: string; untilMs: number };

/** One activity holds mint, consume, trade and act; what happened is asked of the gate, never of its result. */
async function perform(reference: RequestReference, term: Term): Promise<Ending | 'plan-changed'> {
  let attempts = 0;
  for (let waits = 1; ; waits += 1) {
    const code = await codeOf(async () => await executorFor(term).perform(reference));
    const settled = await steps.settle(reference);
    if (settled.verdict !== null) return { ...settled.verdict, isRecorded: settled.isRecorded === true };
    if (code === 'PLAN_CHANGED') return 'plan-changed';
    if (code === 'APPROVAL_EXPIRED') return { state: 'expired', code };
    // What is away has not been tried.
    if (!isAway(code)) attempts += 1;
    if (!mayTryAgain(code) || attempts === ATTEMPTS_MAX || waits === WAITS_MAX)
      return { state: 'failed', code };
    if (Date.now() >= term.untilMs) return { state: 'expired', code: 'APPROVAL_EXPIRED' };
    await sleep(Math.min(ATTEMPT_PAUSE_MS * waits, WAIT_MAX_MS));
  }
}

function executorFor({ executor, untilMs }: Term) {
  return proxyActivities<PerformActivities>({
    taskQueue: executorQueue(executor),
    startToCloseTimeout: '5 minutes',
    heartbeatTimeout: '10 seconds',
    scheduleToStartTimeout: Math.min(PICK_UP_MAX_MS, Math.max(LOOK_PAUSE_MIN_MS, untilMs - Date.now())),
    retry: { maximumAttempts: 1 },
  });
}

function isAway(code: string): boolean {
  return code === 'UNAVAILABLE' || code === 'TARGET_UNREACHABLE';
}

/** The code that an attempt failed with: good enough to stop or to try again, never to believe in an effect. */
async function codeOf(attempt: () => Promise<unknown>): Promise<string> {
  try {
    await attempt();
    return 'UNAVAILABLE';
  } catch (error) {
    if (!(error instanceof ActivityFailure)) throw error;
    return error.cause instanceof ApplicationFailure ? (error.cause.type ?? 'INTERNAL') : 'UNAVAILABLE';
  }
}
