import { loadActionManifests } from '../action/manifest.ts';
import { createServer } from '../call/serve.ts';
import { consumeChecks } from '../capability/may-consume.ts';
import { createCrash } from '../crash-point.ts';
import { createConsume } from '../gate/consume.ts';
import type { Gate } from '../gate/gate.ts';
import { createSettled } from '../gate/settled.ts';
import { loadPolicy } from '../policy/load.ts';
import { listenAt, policyDirectory, runDomain, sweepSeen, targetKeys } from './process.ts';

await runDomain('gate', async (own) => {
  const { database, environment, keys, log, settings } = own;
  const nowS = Math.floor(own.clock() / 1_000);
  const address = own.addresses.gate;
  const gate: Gate = {
    ...own,
    manifests: await loadActionManifests(environment.FIREBREAK_ACTION_MANIFEST, { keys, nowS }),
    policy: await loadPolicy(policyDirectory(own)),
    checks: consumeChecks,
    receiptKey: await own.signer('receipt'),
    targetKey: await targetKeys(own, settings.targets),
    address,
    crash: createCrash(environment.FIREBREAK_CRASH_POINTS),
  };
  const handlers = { consume: createConsume(gate), settled: createSettled(gate) };
  const server = createServer({ domain: 'gate', address, keys, clock: own.clock, log, handlers });
  await listenAt(server, own);
  return [server, sweepSeen(database, log)];
});
