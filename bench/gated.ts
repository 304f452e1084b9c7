import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { loadActionManifests } from '../src/action/manifest.ts';
import { openDatabase } from '../src/database/pool.ts';
import type { SlackCard } from '../src/dev/slack-person.ts';
import type { PeopleDoor } from '../src/doors/people/door.ts';
import { castVote } from '../src/doors/people/vote.ts';
import { loadSigningKey } from '../src/identity/keys.ts';
import { loadManifest } from '../src/identity/manifest.ts';
import { createEntryWriter } from '../src/ledger/entry.ts';
import { createLog } from '../src/log.ts';
import { workflowIdOf } from '../src/temporal/queues.ts';
import { TABLE, type World } from './world.ts';

/** A request that waits for its vote: everything before the vote is done, the card stands in the channel. */
export type Waiting = { requestId: string; revision: number; digest: string; row: number; card: SlackCard };

const PERSON = 'alice';
const USER = 'U0ALICE';
const WAIT_MS = 120_000;

export async function fileRequest(world: World): Promise<Waiting> {
  const row = world.nextRow();
  const where = { column: 'id', op: 'eq', value: row };
  const { requestId, revision } = await world.agent.submit({
    action: 'postgres.rows.delete',
    input: { database: 'shop', table: `public.${TABLE}`, where, limit: 10 },
  });
  const view = await world.agent.waitFor(requestId, {
    timeoutMs: WAIT_MS,
    until: ({ state }) => state === 'waiting',
  });
  if (view.digest === undefined) throw new Error(`expected ${requestId} to wait, it is ${view.state}`);
  return {
    requestId,
    revision,
    digest: view.digest,
    row,
    card: await world.slack.findCard(requestId, WAIT_MS),
  };
}

/** Through the stand-in, as a person does: signed by Slack's secret, proxied, verified, through Bolt. */
export async function clickApprove(world: World, { card }: Waiting): Promise<void> {
  const { status } = await world.slack.click(USER, card, 'Approve');
  if (status !== 200) throw new Error(`expected the click to be taken, got ${status}`);
}

export async function resultOf(world: World, { requestId }: Waiting): Promise<void> {
  const verdict: unknown = await world.temporal.client.workflow.getHandle(workflowIdOf(requestId)).result();
  const state =
    typeof verdict === 'object' && verdict !== null && 'state' in verdict ? verdict.state : verdict;
  if (state !== 'done') throw new Error(`expected ${requestId} to be done, it is ${JSON.stringify(verdict)}`);
}

export type Voter = { approve(waiting: Waiting): Promise<void>; close(): Promise<void> };

/** What the people's door does once it has verified who clicked: the same code, key and login. */
export async function openVoter({ dev }: World): Promise<Voter> {
  const directory = dev.data.keys('people');
  const clock = () => Date.now();
  const nowS = Math.floor(clock() / 1_000);
  const keys = await loadManifest(dev.data.keyManifest, (await readFile(dev.data.pin, 'utf8')).trim());
  const database = openDatabase(dev.urls.login('people'), () => undefined);
  const door: PeopleDoor = {
    database,
    settings: dev.settings,
    manifests: await loadActionManifests(dev.data.actionManifest, { keys, nowS }),
    keys,
    voteKey: await loadSigningKey('people', 'vote', directory),
    writeEntry: createEntryWriter(await loadSigningKey('people', 'entry', directory), clock),
    clock,
    random: randomBytes,
    log: createLog('bench', 'warn'),
  };
  const { team, channel } = dev.settings.slack;
  return {
    async approve({ requestId, revision, digest, card }) {
      const surface = { team, user: USER, channel, message: card.ts };
      await castVote(door, { requestId, revision, digest, person: PERSON, choice: 'approve', surface });
    },
    close: async () => await database.close(),
  };
}

/** What is still going on after a request was asked: card, checkpoint, acknowledgements. */
const SETTLE_MS = 250;

export async function settled(): Promise<void> {
  await delay(SETTLE_MS);
}
