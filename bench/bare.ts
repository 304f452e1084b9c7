import { randomUUID } from 'node:crypto';
import type { WorkflowHandle } from '@temporalio/client';
import { BARE_QUEUE } from './bare-queue.ts';
import type { World } from './world.ts';

/** The peer's job: wait, be told, delete one row. */
export async function startBare(world: World): Promise<WorkflowHandle> {
  return await world.bare.workflow.start('bareDelete', {
    taskQueue: BARE_QUEUE,
    workflowId: `bare/${randomUUID()}`,
    args: [world.nextRow()],
  });
}

export async function tellBare(handle: WorkflowHandle): Promise<void> {
  await handle.signal('go');
}

export async function bareResult(handle: WorkflowHandle): Promise<void> {
  const deleted: unknown = await handle.result();
  if (deleted !== 1) throw new Error(`expected one row to be deleted, got ${JSON.stringify(deleted)}`);
}

export async function readBare(world: World, row: number): Promise<void> {
  const read: unknown = await world.bare.workflow.execute('bareRead', {
    taskQueue: BARE_QUEUE,
    workflowId: `bare-read/${randomUUID()}`,
    args: [row],
  });
  if (read === undefined) throw new Error(`expected row ${row}`);
}
