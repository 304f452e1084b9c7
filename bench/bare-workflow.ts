import { condition, defineSignal, proxyActivities, setHandler } from '@temporalio/workflow';

/** The peer: the same job without anything that Firebreak adds. Wait to be told, then one activity. */
type BareActivities = {
  deleteRow(row: number): Promise<number>;
  readRow(row: number): Promise<unknown>;
};

const go = defineSignal('go');

const activities = proxyActivities<BareActivities>({
  startToCloseTimeout: '5 minutes',
  heartbeatTimeout: '10 seconds',
  retry: { maximumAttempts: 1 },
});

export async function bareDelete(row: number): Promise<number> {
  let told = false;
  setHandler(go, () => {
    told = true;
  });
  await condition(() => told);
  return await activities.deleteRow(row);
}

export async function bareRead(row: number): Promise<unknown> {
  return await activities.readRow(row);
}
