import { randomBytes } from 'node:crypto';
import { dirname } from 'node:path';
import { loadDefinitions } from '../action/load.ts';
import { loadActionManifests } from '../action/manifest.ts';
import { createCrash } from '../crash-point.ts';
import { checkActions } from '../doors/agents/check-actions.ts';
import { startOutbox } from '../doors/agents/outbox.ts';
import { createAgentsServer } from '../doors/agents/server.ts';
import { createStarter } from '../doors/agents/start-workflows.ts';
import { Watchers } from '../doors/agents/watchers.ts';
import { readSymmetricKey } from '../identity/symmetric-key.ts';
import { connectTemporal } from '../temporal/client.ts';
import { listenAt, runDomain, sweepSeen } from './process.ts';

await runDomain('gateway', async (own) => {
  const { database, environment, keys, log, settings } = own;
  const nowS = Math.floor(own.clock() / 1_000);
  const definitions = await loadDefinitions(settings.actions, dirname(environment.FIREBREAK_CONFIG));
  const manifests = await loadActionManifests(environment.FIREBREAK_ACTION_MANIFEST, { keys, nowS });
  checkActions(definitions, manifests);

  const codecKeyFile = own.keyFile('codec.key');
  const connect = async () =>
    createStarter(await connectTemporal({ variables: process.env, codecKeyFile, identity: own.domain }));
  const crash = createCrash(environment.FIREBREAK_CRASH_POINTS);
  const outbox = startOutbox({ database, connect, log, crash });
  const watchers = new Watchers();
  await database.listen(['firebreak_outbox_gateway', 'firebreak_request'], (channel, payload) =>
    channel === 'firebreak_request' ? watchers.ring(payload) : outbox.ring(),
  );

  const server = createAgentsServer({
    ...own,
    origin: settings.deployment.origin,
    definitions,
    manifests,
    watchers,
    resultKey: await readSymmetricKey(own.keyFile('result.key')),
    random: randomBytes,
    missing: async () => [
      ...((await isThere(database.run('select'))) ? [] : ['database']),
      ...((await outbox.isReachable()) ? [] : ['temporal']),
    ],
  });
  await listenAt(server, own);
  return [outbox, server, sweepSeen(database, log)];
});

async function isThere(answer: Promise<void>): Promise<boolean> {
  return await answer.then(
    () => true,
    () => false,
  );
}
