import { createSteps } from '../../activities/steps.ts';
import { createServer } from '../call/serve.ts';
import { WORKFLOW_QUEUE } from '../temporal/queues.ts';
import { runWorker } from '../temporal/worker.ts';
import { dieOf, listenAt, runDomain } from './process.ts';

await runDomain('orchestrator', async (own) => {
  const { keys, log } = own;
  const address = own.addresses.orchestrator;
  const worker = await runWorker({
    variables: process.env,
    codecKeyFile: own.keyFile('codec.key'),
    taskQueue: WORKFLOW_QUEUE,
    identity: 'orchestrator',
    activities: createSteps(own),
    workflows: true,
    onFailure: dieOf(log),
  });
  const server = createServer({
    domain: 'orchestrator',
    address,
    keys,
    clock: own.clock,
    log,
    handlers: {},
  });
  await listenAt(server, own);
  return [worker, server];
});
