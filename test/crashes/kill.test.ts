import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CrashPoint } from '../../src/crash-point.ts';
import { type Asked, type Firebreak, startFirebreak } from '../fixtures/firebreak.ts';

/** `kill -9` between two steps, at named points: what was accepted is not lost, what was done is not done again. */
let firebreak: Firebreak;
beforeAll(async () => {
  firebreak = await startFirebreak();
});
afterAll(async () => await firebreak.stop());

/** An approved request whose process dies at the point. */
async function approvedThenKilled(point: CrashPoint): Promise<Asked> {
  const asked = await firebreak.submit();
  await firebreak.slack.findCard(asked.requestId);
  await firebreak.crashAt(point);
  await firebreak.click(asked, 'alice');
  return asked;
}

async function effectsOf({ requestId }: Asked): Promise<number> {
  return (await firebreak.target.effects(requestId)).count;
}

test('between stored and started: the request is started by the gateway that comes after', async () => {
  await firebreak.crashAt('gateway:stored');
  const asked = await firebreak.submit();
  await firebreak.click(asked, 'alice');
  expect(await firebreak.ended(asked)).toMatchObject({ state: 'done' });
  expect(await effectsOf(asked)).toBe(1);
});

test('between consume and its answer: the same attempt gets the same receipt, and acts', async () => {
  const asked = await approvedThenKilled('gate:consumed');
  expect(await firebreak.ended(asked)).toMatchObject({ state: 'done' });
  expect(await effectsOf(asked)).toBe(1);
});

test('between consume and effect: nothing happened, nobody claims to know, nothing is repeated', async () => {
  const asked = await approvedThenKilled('executor:consumed');
  expect(await firebreak.ended(asked)).toMatchObject({ state: 'indeterminate' });
  expect(await effectsOf(asked)).toBe(0);
});

test('between effect and record: it happened once, and stays indeterminate until somebody looks', async () => {
  const asked = await approvedThenKilled('executor:performed');
  expect(await firebreak.ended(asked)).toMatchObject({ state: 'indeterminate' });
  expect(await effectsOf(asked)).toBe(1);
});

test('after the record: done, once', async () => {
  const asked = await approvedThenKilled('executor:recorded');
  expect(await firebreak.ended(asked)).toMatchObject({ state: 'done' });
  expect(await effectsOf(asked)).toBe(1);
});

test('the ledger of all this verifies', async () => {
  expect(await firebreak.verify()).toMatchObject({ kind: 'holds' });
});
