import { dirname } from 'node:path';
import { loadActionManifests } from '../action/manifest.ts';
import { createContextIssuer } from '../broker/context.ts';
import { createDecider } from '../broker/decide.ts';
import { registerMetadata } from '../broker/metadata.ts';
import { createMint } from '../broker/mint.ts';
import { registerTokenEndpoint } from '../broker/token-endpoint.ts';
import { loadWorkloadIssuers } from '../broker/workload-token.ts';
import { createServer } from '../call/serve.ts';
import { ensureKeys } from '../identity/keys.ts';
import { readSymmetricKey } from '../identity/symmetric-key.ts';
import { loadPolicy } from '../policy/load.ts';
import { listenAt, policyDirectory, runDomain, sweepSeen } from './process.ts';

await runDomain('broker', async (own) => {
  const { database, environment, keys, log, settings } = own;
  const nowS = Math.floor(own.clock() / 1_000);
  const address = own.addresses.broker;
  const { origin } = settings.deployment;
  const contextKey = await readSymmetricKey(own.keyFile('context.key'));
  const common = {
    ...own,
    origin,
    manifests: await loadActionManifests(environment.FIREBREAK_ACTION_MANIFEST, { keys, nowS }),
    policy: await loadPolicy(policyDirectory(own)),
  };
  const decider = { ...common, signingKey: await own.signer('decision') };
  const handlers = {
    context: createContextIssuer({
      ...common,
      signingKey: await own.signer('context'),
      sealingKey: contextKey,
    }),
    decide: createDecider(decider),
    mint: createMint({ ...decider, capabilityKey: await own.signer('capability'), contextKey }),
  };
  const server = createServer({ domain: 'broker', address, keys, clock: own.clock, log, handlers });
  registerTokenEndpoint(server, {
    ...common,
    accessKey: await own.signer('access'),
    sessionMinutes: settings.limits.sessionMinutes,
    issuers: await loadWorkloadIssuers(settings, dirname(environment.FIREBREAK_CONFIG)),
    workloads: settings.workloads,
  });
  registerMetadata(server, { origin, keys: await ensureKeys('broker', environment.FIREBREAK_KEYS) });
  await listenAt(server, own);
  return [server, sweepSeen(database, log)];
});
