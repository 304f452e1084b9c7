import { randomBytes } from 'node:crypto';
import { loadActionManifests } from '../action/manifest.ts';
import { createServer } from '../call/serve.ts';
import { ask } from '../doors/people/ask.ts';
import type { PeopleDoor } from '../doors/people/door.ts';
import { startPoster } from '../doors/people/poster.ts';
import { registerReadiness } from '../doors/people/readiness.ts';
import { startRing } from '../doors/people/ring.ts';
import { createRinger } from '../doors/people/signal-workflows.ts';
import { createSlackApp } from '../doors/people/slack.ts';
import { createSlackClient } from '../doors/people/slack-client.ts';
import { registerSlackRoute } from '../doors/people/slack-route.ts';
import { Refusal } from '../refusal.ts';
import { connectTemporal } from '../temporal/client.ts';
import type { Secret } from './environment.ts';
import { listenAt, runDomain, sweepSeen } from './process.ts';

await runDomain('people', async (own) => {
  const { database, environment, keys, log, settings } = own;
  const token = required(environment.SLACK_BOT_TOKEN, 'SLACK_BOT_TOKEN').reveal();
  const signingSecret = required(environment.SLACK_SIGNING_SECRET, 'SLACK_SIGNING_SECRET').reveal();
  const nowS = Math.floor(own.clock() / 1_000);
  const manifests = await loadActionManifests(environment.FIREBREAK_ACTION_MANIFEST, { keys, nowS });
  const door: PeopleDoor = { ...own, manifests, voteKey: await own.signer('vote'), random: randomBytes };

  const slack = createSlackClient({ token, apiUrl: environment.SLACK_API_URL, log });
  const poster = startPoster({ door, slack });
  const codecKeyFile = own.keyFile('codec.key');
  const connect = async () =>
    createRinger(await connectTemporal({ variables: process.env, codecKeyFile, identity: own.domain }));
  const ring = startRing({ database, connect, log });
  await database.listen(['firebreak_notice', 'firebreak_outbox_people'], (channel) =>
    channel === 'firebreak_notice' ? poster.ring() : ring.ring(),
  );

  const address = own.addresses.people;
  const handlers = { ask: async (reference: Parameters<typeof ask>[1]) => await ask(door, reference) };
  const server = createServer({ domain: 'people', address, keys, clock: own.clock, log, handlers });
  const app = createSlackApp({ door, slack }, token);
  registerSlackRoute(server, { door, app, signingSecret });
  registerReadiness(server, { database, slack: poster, temporal: ring, mode: settings.deployment.mode });
  await listenAt(server, own);
  return [ring, poster, app, server, sweepSeen(database, log)];
});

function required(secret: Secret | undefined, name: string): Secret {
  if (secret === undefined) throw new Refusal('CONFIG_INVALID', `environment of people: expected ${name}`);
  return secret;
}
