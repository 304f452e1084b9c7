import { dirname } from 'node:path';
import { createPerformActivities } from '../../activities/perform.ts';
import { executorOf } from '../../activities/plan.ts';
import { loadEffects } from '../action/load.ts';
import { createServer } from '../call/serve.ts';
import { createCrash } from '../crash-point.ts';
import { readSymmetricKey } from '../identity/symmetric-key.ts';
import { executorQueue } from '../temporal/queues.ts';
import { runWorker } from '../temporal/worker.ts';
import { hasTargetUrl } from './environment.ts';
import { dieOf, listenAt, runDomain, targetUrls } from './process.ts';

await runDomain('executor', async (own) => {
  const { environment, keys, log, settings } = own;
  const address = own.addresses.executor;
  const activities = createPerformActivities({
    ...own,
    effects: await loadEffects(settings.actions, dirname(environment.FIREBREAK_CONFIG)),
    outcomeKey: await own.signer('outcome'),
    contextKey: await readSymmetricKey(own.keyFile('context.key')),
    resultKey: await readSymmetricKey(own.keyFile('result.key')),
    targetUrl: targetUrls(settings.targets, process.env),
    crash: createCrash(environment.FIREBREAK_CRASH_POINTS),
  });
  // One queue for each tool family and environment whose targets this process has a login for.
  const reachable = settings.targets.filter(({ name }) => hasTargetUrl(name, process.env));
  const families = new Set(reachable.map(executorOf));
  const workers = await Promise.all(
    [...families].map(
      async (family) =>
        await runWorker({
          variables: process.env,
          codecKeyFile: own.keyFile('codec.key'),
          taskQueue: executorQueue(family),
          identity: `executor ${family}`,
          activities,
          workflows: false,
          onFailure: dieOf(log),
        }),
    ),
  );
  const server = createServer({ domain: 'executor', address, keys, clock: own.clock, log, handlers: {} });
  await listenAt(server, own);
  return [...workers, server];
});
