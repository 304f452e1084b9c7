import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Connection, Client as TemporalClient } from '@temporalio/client';
import { Client } from 'pg';
import { z } from 'zod';
import { type AgentClient, createAgentClient } from '../../cli/agent-client.ts';
import type { HeldSession } from '../../cli/open-session.ts';
import { createPossessionKey } from '../../identity/keys.ts';
import { codeOf, Refusal } from '../../refusal.ts';
import { type Captured, capture, consume, mintAsExecutor } from '../captured.ts';
import { createSlackPerson, type SlackPerson } from '../slack-person.ts';
import type { RunningDev } from '../supervisor.ts';
import { forgeCapability } from './forge-capability.ts';
import { sendToSlackDoor } from './slack-wire.ts';

/**
 * The same doors, tried wrongly, with real keys and logins of captured parts. Each attack returns the code that it was
 * refused with, as the refusing part said it; what is not refused, or with another code, fails the demo.
 */
export type AttackWorld = {
  dev: RunningDev;
  held: HeldSession;
  client: AgentClient;
  /** A request that has been done. */
  done: string;
  /** JSON of a request like the demo's. */
  request: string;
};

type Attack = {
  name: string;
  says: string;
  expected: string;
  run: (field: Field) => Promise<string>;
};

/** What an attack works with, and a request that waits for approval. */
type Field = AttackWorld & { slack: SlackPerson; executor: Captured; waiting: string };

export async function runAttacks(
  world: AttackWorld,
  say: (line: string) => void,
): Promise<{ name: string; code: string }[]> {
  const slack = createSlackPerson(world.dev.slack());
  const executor = await capture(world, 'executor');
  const found: { name: string; code: string }[] = [];
  try {
    const { requestId: waiting } = await world.client.submit(world.request);
    await slack.findCard(waiting);
    for (const { name, says, expected, run } of attacks) {
      const code = await run({ ...world, slack, executor, waiting });
      say(`attack    ${says}: ${code}`);
      if (code !== expected) {
        throw new Refusal('INTERNAL', `expected attack ${name} to be refused with ${expected}, got ${code}`);
      }
      found.push({ name, code });
    }
  } finally {
    await executor.close();
  }
  return found;
}

const SUCCEEDED = 'NOT_REFUSED';

/** The code of the refusal that an attempt ends in. */
async function refusalOf(attempt: Promise<unknown>): Promise<string> {
  return await attempt.then(() => SUCCEEDED, codeOf);
}

const attacks: readonly Attack[] = [
  {
    name: 'self-approval',
    says: 'the owner of the agent approves its request',
    expected: 'SELF_APPROVAL',
    run: async (field) => await clickRefused(field, ownerOf(field)),
  },
  {
    name: 'stranger-approval',
    says: 'a person of no asked group approves',
    expected: 'NOT_ENTITLED',
    run: async (field) => await clickRefused(field, strangerOf(field)),
  },
  {
    name: 'forged-slack-signature',
    says: 'a click that Slack did not sign',
    expected: 'SLACK_SIGNATURE',
    run: async ({ dev }) => await sendToSlackDoor(dev, { secret: 'not the signing secret', times: 1 }),
  },
  {
    name: 'replayed-click',
    says: 'a click of Slack, sent a second time',
    expected: 'SLACK_REPLAYED',
    run: async ({ dev }) => await sendToSlackDoor(dev, { secret: dev.slack().signingSecret, times: 2 }),
  },
  {
    name: 'stolen-access-token',
    says: 'the agent’s token with another key',
    expected: 'INVALID_DPOP_PROOF',
    async run({ held, dev, request }) {
      const { privateJwk } = await createPossessionKey();
      const thief = createAgentClient({ origin: dev.ready().origin, session: held.session, key: privateJwk });
      return await refusalOf(thief.submit(request));
    },
  },
  {
    name: 'forged-signal',
    says: 'a signal to the workflow that says approved',
    expected: 'APPROVAL_MISSING',
    async run({ dev, executor, waiting }) {
      await withTemporal(dev, async (temporal) => {
        await temporal.workflow.getHandle(`request/${waiting}`).signal('look', { vote: 'approve' });
      });
      return await refusalOf(mintAsExecutor(executor, waiting));
    },
  },
  {
    name: 'forged-capability',
    says: 'a capability by the broker’s own key, without votes',
    expected: 'APPROVAL_MISSING',
    async run(field) {
      const broker = await capture(field, 'broker');
      const attempt = await forgeCapability(broker, field.executor, field.waiting);
      await broker.close();
      return await refusalOf(consume(field, field.executor, attempt));
    },
  },
  {
    name: 'other-key',
    says: 'a stolen capability with another key',
    expected: 'WRONG_KEY',
    async run(field) {
      const broker = await capture(field, 'broker');
      const attempt = await forgeCapability(broker, field.executor, field.waiting);
      await broker.close();
      return await refusalOf(consume(field, field.executor, attempt, await createPossessionKey()));
    },
  },
  {
    name: 'second-capability',
    says: 'another capability for what is done',
    expected: 'REQUEST_CLOSED',
    run: async ({ executor, done }) => await refusalOf(mintAsExecutor(executor, done)),
  },
  {
    name: 'reset',
    says: 'a reset of the workflow that is done',
    expected: 'REQUEST_CLOSED',
    async run({ dev, executor, done }) {
      await withTemporal(dev, async (temporal) => await resetAndWait(temporal, done));
      return await refusalOf(mintAsExecutor(executor, done));
    },
  },
  {
    name: 'edited-input',
    says: 'the waiting request edited in the database, by its superuser',
    expected: 'DIGEST_MISMATCH',
    async run({ dev, executor, waiting }) {
      const superuser = new Client({ connectionString: dev.urls.superuser('firebreak') });
      await superuser.connect();
      await superuser.query(
        `update firebreak.request set content = replace(content, '"limit":', '"limit":1') where id = $1`,
        [waiting],
      );
      await superuser.end();
      return await refusalOf(mintAsExecutor(executor, waiting));
    },
  },
];

const REFUSED_TRIES_MAX = 200;
const POLL_MS = 50;
const codeSchema = z.object({ code: z.string().nullable() });

/** Clicks, and reads from the ledger what the people's door said to it. */
async function clickRefused({ dev, slack, waiting }: Field, person: string): Promise<string> {
  const account = dev.settings.people.find(({ id }) => id === person)?.slack ?? '';
  await slack.click(account.split('/')[1] ?? '', await slack.findCard(waiting), 'Approve');
  const people = new Client({ connectionString: dev.urls.superuser('firebreak') });
  await people.connect();
  try {
    for (let tries = 1; tries <= REFUSED_TRIES_MAX; tries += 1) {
      const { rows } = await people.query(
        `select firebreak.claims_of(jws)->>'code' as code from firebreak.entry
         where request_id = $1 and kind = 'vote-refused' and firebreak.claims_of(jws)->>'voter' = $2`,
        [waiting, person],
      );
      const [row] = z.array(codeSchema).parse(rows);
      if (row !== undefined) return row.code ?? SUCCEEDED;
      await delay(POLL_MS);
    }
    return SUCCEEDED;
  } finally {
    await people.end();
  }
}

function ownerOf({ dev }: Field): string {
  return dev.settings.workloads[0]?.owner ?? '';
}

function strangerOf({ dev }: Field): string {
  const members = new Set(dev.settings.groups.flatMap((group) => group.members));
  return dev.settings.people.find(({ id }) => !members.has(id))?.id ?? '';
}

async function withTemporal(
  dev: RunningDev,
  work: (temporal: TemporalClient) => Promise<void>,
): Promise<void> {
  const connection = await Connection.connect({ address: dev.ready().addresses.temporal });
  try {
    await work(new TemporalClient({ connection }));
  } finally {
    await connection.close();
  }
}

async function resetAndWait(temporal: TemporalClient, requestId: string): Promise<void> {
  const workflowId = `request/${requestId}`;
  const handle = temporal.workflow.getHandle(workflowId);
  const { events } = await handle.fetchHistory();
  const first = events?.find(({ workflowTaskCompletedEventAttributes: task }) => Boolean(task));
  await temporal.workflowService.resetWorkflowExecution({
    namespace: 'default',
    workflowExecution: { workflowId },
    workflowTaskFinishEventId: first?.eventId ?? null,
    requestId: randomUUID(),
    reason: 'an attack of the demo',
  });
  await handle.result().catch(() => undefined);
}
