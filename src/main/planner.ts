import { dirname } from 'node:path';
import { createPlanCall, createPlannerActivities } from '../../activities/plan.ts';
import { loadDefinitions } from '../action/load.ts';
import { createServer } from '../call/serve.ts';
import { readSymmetricKey } from '../identity/symmetric-key.ts';
import { PLANNER_QUEUE } from '../temporal/queues.ts';
import { runWorker } from '../temporal/worker.ts';
import { dieOf, listenAt, runDomain, targetUrls } from './process.ts';

await runDomain('planner', async (own) => {
  const { environment, keys, log, settings } = own;
  const address = own.addresses.planner;
  const planner = {
    ...own,
    definitions: await loadDefinitions(settings.actions, dirname(environment.FIREBREAK_CONFIG)),
    planKey: await own.signer('plan'),
    contextKey: await readSymmetricKey(own.keyFile('context.key')),
    targetUrl: targetUrls(settings.targets, process.env),
  };
  const worker = await runWorker({
    variables: process.env,
    codecKeyFile: own.keyFile('codec.key'),
    taskQueue: PLANNER_QUEUE,
    identity: 'planner',
    activities: createPlannerActivities(planner),
    workflows: false,
    onFailure: dieOf(log),
  });
  const handlers = { plan: createPlanCall(planner) };
  const server = createServer({ domain: 'planner', address, keys, clock: own.clock, log, handlers });
  await listenAt(server, own);
  return [worker, server];
});
