import { mkdir, rm, writeFile } from 'node:fs/promises';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { workflowIdOf } from '../../src/temporal/queues.ts';
import { deletionOf, type Firebreak, startFirebreak } from '../fixtures/firebreak.ts';
import { REPLAY_CODEC_KEY } from './codec-key.ts';

/**
 * Records the histories that `replay.test.ts` replays: `node test/replay/record.ts`, about a minute. Requests that
 * wait are carried on by whatever code runs next, so a change that today's histories do not replay on needs
 * `patched()` first; record anew afterwards, beside the old ones and not over them. `npm run fix` formats what it writes.
 */
const directory = new URL('histories/', import.meta.url);

const firebreak = await startFirebreak({ codecKey: REPLAY_CODEC_KEY.toString('base64url') });
try {
  await mkdir(directory, { recursive: true });
  for (const [name, story] of Object.entries(stories(firebreak))) await record(name, await story());
} finally {
  await firebreak.stop();
}

/** Each ends a request in another way, and resolves with its id. */
function stories({ client, dev, slack, shop, ...own }: Firebreak): Record<string, () => Promise<string>> {
  return {
    async approved() {
      const asked = await own.submit();
      await own.click(asked, 'alice');
      await own.ended(asked);
      return asked.requestId;
    },
    async denied() {
      const asked = await own.submit();
      const card = await slack.findCard(asked.requestId);
      await slack.click('U0BOB', card, 'Deny');
      await slack.submitReason('U0BOB', 'not this one');
      await own.ended(asked);
      return asked.requestId;
    },
    async 'refused-by-the-planner'() {
      const deletion = deletionOf(1);
      const ask = { ...deletion, input: { ...deletion.input, table: 'public.nothing' } };
      const { requestId } = await client.submit(ask);
      await client.waitFor(requestId);
      return requestId;
    },
    async 'changed-plan'() {
      const asked = await own.submit();
      await dev.kill('executor', 'SIGKILL');
      await own.click(asked, 'alice');
      await shop.query(`update newsletter_subscriptions set email = 'changed@example.com' where id = $1`, [
        asked.row,
      ]);
      await dev.restart('executor');
      await own.click(asked, 'alice');
      await own.ended(asked);
      return asked.requestId;
    },
    async 'broker-away'() {
      const asked = await own.submit();
      await slack.findCard(asked.requestId);
      await dev.kill('broker', 'SIGKILL');
      await own.click(asked, 'alice');
      await until(async () => (await own.exportHistory(asked.requestId)).includes('perform'));
      await dev.restart('broker');
      await own.ended(asked);
      return asked.requestId;
    },
    async 'waiting-for-people'() {
      const asked = await own.submit();
      await slack.findCard(asked.requestId);
      await until(async () => (await client.show(asked.requestId)).state === 'waiting');
      return asked.requestId;
    },
  };
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 200));
}

async function record(name: string, requestId: string): Promise<void> {
  const workflowId = workflowIdOf(requestId);
  const history = await firebreak.temporal.workflow.getHandle(workflowId).fetchHistory();
  const file = new URL(`${name}.json`, directory);
  await rm(file, { force: true });
  const recorded = { workflowId, history: JSON.parse(historyToJSON(history)) };
  await writeFile(file, `${JSON.stringify(recorded, undefined, 2)}\n`);
  process.stdout.write(`${name}: ${history.events?.length ?? 0} events\n`);
}
