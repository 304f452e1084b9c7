import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDataConverter } from '../../src/temporal/converter.ts';
import { workflowIdOf } from '../../src/temporal/queues.ts';
import { type Asked, type Firebreak, startFirebreak } from '../fixtures/firebreak.ts';

/** Whoever may write to the namespace can start, signal, complete and reset by hand: nothing of it is an authority. */
let firebreak: Firebreak;
beforeAll(async () => {
  firebreak = await startFirebreak();
});
afterAll(async () => await firebreak.stop());

const namespace = 'default';
const handleOf = ({ requestId }: Asked) => firebreak.temporal.workflow.getHandle(workflowIdOf(requestId));

/** What the newest run of a request's workflow returned, read with the codec's key. */
async function resultOf({ requestId }: Asked): Promise<unknown> {
  const { dev } = firebreak;
  const dataConverter = await createDataConverter(join(dev.data.keys('gateway'), 'codec.key'));
  const connection = await Connection.connect({ address: dev.ready().addresses.temporal });
  const client = new Client({ connection, dataConverter });
  try {
    return await client.workflow.getHandle(workflowIdOf(requestId)).result();
  } finally {
    await connection.close();
  }
}

async function kinds({ requestId }: Asked): Promise<string[]> {
  return (await firebreak.entries(requestId)).map(({ kind }) => kind);
}

/** The id of the activity that waits for a worker. */
async function pendingActivity(asked: Asked): Promise<string> {
  const pending = async () => {
    const { raw } = await handleOf(asked).describe();
    return raw.pendingActivities?.[0]?.activityId ?? '';
  };
  await expect.poll(pending, { timeout: 20_000 }).not.toBe('');
  return await pending();
}

async function completeByHand(asked: Asked, activityId: string): Promise<void> {
  const text = new TextEncoder();
  await firebreak.temporal.workflowService.respondActivityTaskCompletedById({
    namespace,
    workflowId: workflowIdOf(asked.requestId),
    activityId,
    identity: 'a stranger',
    result: {
      payloads: [{ metadata: { encoding: text.encode('json/plain') }, data: text.encode('"FORGED"') }],
    },
  });
}

test('a forged signal is no approval', async () => {
  const asked = await firebreak.submit();
  await firebreak.slack.findCard(asked.requestId);
  for (const args of [[], ['approved'], [{ vote: 'approve', voter: 'alice' }]]) {
    await handleOf(asked).signal('look', ...args);
  }
  await handleOf(asked).signal('approve', { by: 'alice' });
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect(await firebreak.client.show(asked.requestId)).toMatchObject({ state: 'waiting' });
  expect(await kinds(asked)).not.toContain('capability-minted');
  expect(await firebreak.isThere(asked)).toBe(true);
  await firebreak.click(asked, 'alice');
  expect(await firebreak.ended(asked)).toMatchObject({ state: 'done' });
});

test('a forged completion of the act is not believed, and the act still happens once', async () => {
  await firebreak.dev.kill('executor', 'SIGKILL');
  const asked = await firebreak.submit();
  await firebreak.click(asked, 'alice');
  await completeByHand(asked, await pendingActivity(asked));
  // The gate says that nothing was consumed, so the workflow tries again instead of believing.
  await pendingActivity(asked);
  expect(await firebreak.client.show(asked.requestId)).toMatchObject({ final: false });
  expect(await firebreak.isThere(asked)).toBe(true);
  await firebreak.dev.restart('executor');
  expect(await firebreak.ended(asked)).toMatchObject({ state: 'done' });
  expect(await firebreak.target.effects(asked.requestId)).toMatchObject({ count: 1 });
});

test('a forged plan ends the request, and nobody is asked about it', async () => {
  await firebreak.dev.kill('planner', 'SIGKILL');
  const asked = await firebreak.submit();
  await completeByHand(asked, await pendingActivity(asked));
  expect(await firebreak.ended(asked)).toMatchObject({
    state: 'failed',
    detail: { code: 'CONTEXT_MISMATCH' },
  });
  expect(await kinds(asked)).not.toContain('asked');
  await firebreak.dev.restart('planner');
});

test('a reset after the end repeats nothing', async () => {
  const asked = await firebreak.submit();
  await firebreak.click(asked, 'alice');
  await firebreak.ended(asked);
  const before = await kinds(asked);
  const handle = handleOf(asked);
  const { events } = await handle.fetchHistory();
  const decided = events?.find(({ workflowTaskCompletedEventAttributes: task }) => Boolean(task));
  await firebreak.temporal.workflowService.resetWorkflowExecution({
    namespace,
    workflowExecution: { workflowId: workflowIdOf(asked.requestId) },
    workflowTaskFinishEventId: decided?.eventId ?? null,
    requestId: `reset-${asked.requestId}`,
    reason: 'an attack',
  });
  // The new run ends where it begins: what is over is not decided again.
  expect(await resultOf(asked)).toMatchObject({ state: 'denied', code: 'REQUEST_CLOSED' });
  expect(await firebreak.client.show(asked.requestId)).toMatchObject({ state: 'done' });
  expect(await firebreak.target.effects(asked.requestId)).toMatchObject({ count: 1 });
  const after = await kinds(asked);
  expect(after.filter((kind) => kind === 'consumed')).toHaveLength(1);
  expect(after.filter((kind) => kind === 'ended')).toHaveLength(
    before.filter((kind) => kind === 'ended').length,
  );
});

test('a workflow that was started by hand, without context, plans nothing', async () => {
  const asked = await firebreak.submit();
  const forged = await firebreak.temporal.workflow.start('request', {
    workflowId: `forged/${asked.requestId}`,
    taskQueue: 'firebreak',
    args: [{ requestId: asked.requestId, revision: 1 }],
  });
  await expect.poll(async () => (await forged.describe()).status.name, { timeout: 20_000 }).toBe('FAILED');
  await firebreak.click(asked, 'alice');
  expect(await firebreak.ended(asked)).toMatchObject({ state: 'done' });
});

test('the ledger of all this verifies', async () => {
  expect(await firebreak.verify()).toMatchObject({ kind: 'holds' });
});
