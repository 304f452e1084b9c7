import { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { asFailure } from '../activities/failure.ts';
import type { Verdict } from '../activities/steps.ts';
import { Refusal, type RefusalCode } from '../src/refusal.ts';
import { APPROVAL_MS, type SkippedTime, startSkippedTime } from '../test/fixtures/skipped-time.ts';

/** Timers and order of a request's life, on a clock that skips days. */
let time: SkippedTime;
beforeAll(async () => {
  time = await startSkippedTime();
});
afterAll(async () => await time.stop());

const EXPIRED: Verdict = { state: 'expired', code: 'APPROVAL_EXPIRED' };
const DENIED: Verdict = { state: 'denied', code: 'DENIED', detail: { by: 'bob', reason: '' } };
const DONE: Verdict = { state: 'done', code: null };

/** As the executor fails an attempt. */
const failing = (code: RefusalCode) => async () => {
  throw asFailure(new Refusal(code, 'in this story'));
};

const approved = async () => ({ kind: 'approved' as const });

/** What the store says: expired from then on, whatever else it may hold. */
const untilExpiry =
  (expiresAtMs: number, before: 'open' | 'approved' = 'open') =>
  async () =>
    (await time.nowMs()) >= expiresAtMs ? ({ kind: 'ended', verdict: EXPIRED } as const) : { kind: before };

describe('waiting for people', () => {
  test('three days without a vote end as expired, by one look, and nothing is performed', async () => {
    const asked = await time.start(({ expiresAtMs }) => ({ look: untilExpiry(expiresAtMs) }));
    expect(await asked.result()).toEqual(EXPIRED);
    expect(asked.calls).toMatchObject({ look: 1, perform: 0, end: 1 });
    expect(asked.livedMs()).toBeGreaterThanOrEqual(APPROVAL_MS);
  });

  test('an approval ends the wait long before', async () => {
    const asked = await time.start(() => ({}));
    await asked.ring();
    expect(await asked.result()).toEqual(DONE);
    expect(asked.calls).toMatchObject({ look: 1, perform: 1 });
    expect(asked.livedMs()).toBeLessThan(APPROVAL_MS / 2);
  });

  test('a store whose clock is behind is asked once a second, and decides', async () => {
    const asked = await time.start(({ expiresAtMs }) => ({ look: untilExpiry(expiresAtMs + 10_000) }));
    expect(await asked.result()).toEqual(EXPIRED);
    expect(asked.calls.look).toBeGreaterThan(1);
    expect(asked.calls.look).toBeLessThanOrEqual(12);
  });

  test('an approval that nobody rang for counts when the wait ends, and not once it has expired', async () => {
    const inTime = await time.start(() => ({ look: approved }));
    expect(await inTime.result()).toEqual(DONE);
    const late = await time.start(({ expiresAtMs }) => ({ look: untilExpiry(expiresAtMs, 'approved') }));
    expect(await late.result()).toEqual(EXPIRED);
    expect(late.calls.perform).toBe(0);
  });

  test('a ring for an approval that meets a denial ends as denied', async () => {
    const asked = await time.start(() => ({ look: async () => ({ kind: 'ended', verdict: DENIED }) }));
    await asked.ring();
    expect(await asked.result()).toEqual(DENIED);
    expect(asked.calls).toMatchObject({ perform: 0, end: 1 });
  });

  test('a ring before anybody was asked decides nothing and is not lost', async () => {
    let letAsk: () => void = () => undefined;
    const mayAsk = new Promise<void>((resolve) => {
      letAsk = resolve;
    });
    const asked = await time.start(({ expiresAtMs }) => ({
      ask: async () => {
        await mayAsk;
        return { digest: 'digest', expiresAtMs, verdict: null };
      },
    }));
    await asked.ring();
    letAsk();
    expect(await asked.result()).toEqual(DONE);
    expect(asked.calls).toMatchObject({ look: 1, perform: 1 });
    expect(asked.livedMs()).toBeLessThan(APPROVAL_MS / 2);
  });

  test('a hundred rings perform once', async () => {
    const asked = await time.start(() => ({}));
    await Promise.all(Array.from({ length: 100 }, async () => await asked.ring().catch(() => undefined)));
    expect(await asked.result()).toEqual(DONE);
    expect(asked.calls).toMatchObject({ perform: 1, end: 1 });
  });

  test('a request that policy allows asks nobody', async () => {
    const asked = await time.start(() => ({ decide: async () => ({ decision: 'allow', verdict: null }) }));
    expect(await asked.result()).toEqual(DONE);
    expect(asked.calls).toMatchObject({ ask: 0, look: 0, perform: 1 });
  });
});

const notConsumed = async () => ({ verdict: null });
const TEN_MINUTES_MS = 600_000;

describe('performing', () => {
  test('a plan that changed once goes back to people, and is then done', async () => {
    let changes = 1;
    const asked = await time.start(() => ({
      look: approved,
      perform: async () => (changes-- > 0 ? await failing('PLAN_CHANGED')() : undefined),
      settle: async () => ({ verdict: changes < 0 ? DONE : null }),
    }));
    expect(await asked.result()).toEqual(DONE);
    expect(asked.calls).toMatchObject({ plan: 2, ask: 2, perform: 2 });
  });

  test('a plan that changes every time ends after five rounds', async () => {
    const asked = await time.start(() => ({ perform: failing('PLAN_CHANGED'), settle: notConsumed }));
    expect(await asked.result()).toEqual({ state: 'failed', code: 'PLAN_CHANGED' });
    expect(asked.calls).toMatchObject({ plan: 5, ask: 5, perform: 5, end: 1 });
  });

  test('an attempt that failed and consumed nothing is made three times', async () => {
    const asked = await time.start(() => ({ perform: failing('INTERNAL'), settle: notConsumed }));
    await asked.ring();
    expect(await asked.result()).toEqual({ state: 'failed', code: 'INTERNAL' });
    expect(asked.calls.perform).toBe(3);
  });

  test('an attempt that was refused is made once', async () => {
    const asked = await time.start(() => ({ perform: failing('REVOKED'), settle: notConsumed }));
    await asked.ring();
    expect(await asked.result()).toEqual({ state: 'failed', code: 'REVOKED' });
    expect(asked.calls.perform).toBe(1);
  });

  test.each(['UNAVAILABLE', 'TARGET_UNREACHABLE'] as const)(
    '%s is waited for, and then it is done',
    async (code) => {
      let tries = 40;
      const asked = await time.start(() => ({
        perform: async () => (tries-- > 0 ? await failing(code)() : undefined),
        settle: async () => ({ verdict: tries < 0 ? DONE : null }),
      }));
      await asked.ring();
      expect(await asked.result()).toEqual(DONE);
      expect(asked.calls.perform).toBe(41);
    },
  );

  test('a part that stays away is waited for until the approval expires, and no longer', async () => {
    const asked = await time.start(
      () => ({ perform: failing('UNAVAILABLE'), settle: notConsumed }),
      TEN_MINUTES_MS,
    );
    await asked.ring();
    expect(await asked.result()).toEqual(EXPIRED);
    expect(asked.livedMs()).toBeGreaterThanOrEqual(TEN_MINUTES_MS);
    expect(asked.livedMs()).toBeLessThan(TEN_MINUTES_MS + 60_000);
  });

  test('an executor that nobody runs is waited for until the approval expires, and no longer', async () => {
    // The server's clock does not skip while it waits for somebody to take an activity.
    const asked = await time.start(
      () => ({ plan: async () => ({ code: null, executor: 'nobody-anywhere' }), settle: notConsumed }),
      2_000,
    );
    await asked.ring();
    expect(await asked.result()).toEqual(EXPIRED);
    expect(asked.calls.perform).toBe(0);
  });

  test('a consumption without outcome is indeterminate and never repeated', async () => {
    const unknown: Verdict = { state: 'indeterminate', code: 'RECEIPT_EXPIRED' };
    const asked = await time.start(() => ({
      perform: failing('UNAVAILABLE'),
      settle: async () => ({ verdict: unknown }),
    }));
    expect(await asked.result()).toEqual(unknown);
    expect(asked.calls).toMatchObject({ perform: 1, end: 1 });
  });

  test('the gate’s word counts, and not the activity’s result', async () => {
    const claimed = await time.start(
      () => ({ perform: async () => undefined, settle: notConsumed }),
      TEN_MINUTES_MS,
    );
    await claimed.ring();
    expect(await claimed.result()).toEqual(EXPIRED);
    const hidden = await time.start(() => ({
      perform: failing('INTERNAL'),
      settle: async () => ({ verdict: DONE }),
    }));
    await hidden.ring();
    expect(await hidden.result()).toEqual(DONE);
    expect(hidden.calls.perform).toBe(1);
  });

  test('a gate that is away is asked again, and nothing is tried meanwhile', async () => {
    let tries = 3;
    const asked = await time.start(() => ({
      settle: async () => {
        if (tries-- > 0) throw ApplicationFailure.create({ type: 'UNAVAILABLE' });
        return { verdict: DONE };
      },
    }));
    await asked.ring();
    expect(await asked.result()).toEqual(DONE);
    expect(asked.calls).toMatchObject({ perform: 1, settle: 4 });
  });
});
