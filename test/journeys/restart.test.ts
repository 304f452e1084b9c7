import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AgentClient } from '../../src/cli/agent-client.ts';
import { buttonsOf, type SlackCard } from '../../src/dev/slack-person.ts';
import { deletionOf } from '../fixtures/firebreak.ts';
import {
  createFirebreakCommand,
  type FirebreakCommand,
  livingOf,
  type Started,
} from '../fixtures/firebreak-command.ts';

/** What waits for people waits through every end of `firebreak dev`, and is then done once. */
let command: FirebreakCommand;
let started: Started;
let agent: AgentClient;
beforeAll(async () => {
  command = await createFirebreakCommand();
  started = await command.start();
  agent = await command.openAgent();
});
afterAll(async () => await command.remove());

test('a request that waits for people survives Ctrl-C and a start on the same data', async () => {
  const asked = await ask(2_000);
  expect(await command.end('SIGINT')).toBe(0);
  expect(await livingOf(started.pids)).toEqual([]);
  started = await command.start();
  await approveTheSameCard(asked);
});

test('a request that waits for people survives kill -9 and a start on the same data', async () => {
  const asked = await ask(2_001);
  const { supervisor: _killed, ...orphans } = started.pids;
  // It hears of nothing any more, so the next start has to end it by its recorded pid.
  process.kill(orphans['ledger'] ?? 0, 'SIGSTOP');
  await command.end('SIGKILL');
  expect(await livingOf(orphans)).toContain('ledger');
  started = await command.start();
  expect(await livingOf(orphans)).toEqual([]);
  await approveTheSameCard(asked);
});

test('a request that nobody had planned yet goes on after kill -9 of everything', async () => {
  process.kill(started.pids['planner'] ?? 0, 'SIGSTOP');
  const { requestId } = await agent.submit(deletionOf(2_002));
  expect(await agent.show(requestId)).toMatchObject({ state: 'accepted' });
  for (const [name, pid] of Object.entries(started.pids))
    if (name !== 'supervisor') process.kill(pid, 'SIGKILL');
  await command.end('SIGKILL');
  started = await command.start();
  await approveTheSameCard({ requestId, card: await (await command.slack()).findCard(requestId) });
});

test('the ledger of all this verifies and all is in order, also while nothing runs', async () => {
  expect(await command.run('ledger', 'verify')).toMatchObject({ code: 0 });
  expect(await command.run('doctor')).toMatchObject({ code: 0, output: expect.stringContaining('is ready') });
  process.kill(started.pids['ledger'] ?? 0, 'SIGSTOP');
  expect(await command.run('doctor')).toMatchObject({
    code: 1,
    output: expect.stringMatching(/misses ledger\n.*→ look into .*ledger\.log/),
  });
  process.kill(started.pids['ledger'] ?? 0, 'SIGCONT');
  expect(await command.end('SIGINT')).toBe(0);
  expect(await command.run('doctor')).toMatchObject({
    code: 0,
    output: expect.stringContaining('not in use'),
  });
  expect(await command.run('ledger', 'verify')).toMatchObject({ code: 0 });
});

type Asked = { requestId: string; card: SlackCard };

async function ask(row: number): Promise<Asked> {
  const { requestId } = await agent.submit(deletionOf(row));
  return { requestId, card: await (await command.slack()).findCard(requestId) };
}

async function approveTheSameCard({ requestId, card }: Asked): Promise<void> {
  const slack = await command.slack();
  const cards = async () => (await slack.messages()).filter(({ text }) => text.includes(requestId));
  expect((await cards()).map(({ ts }) => ts)).toEqual([card.ts]);
  await slack.click('U0ALICE', card, 'Approve');
  expect(await agent.waitFor(requestId, { timeoutMs: 60_000 })).toMatchObject({
    state: 'done',
    detail: { rows: 1 },
  });
  await expect.poll(async () => (await cards()).map(buttonsOf), { timeout: 10_000 }).toEqual([[]]);
  expect((await cards()).map(({ ts }) => ts)).toEqual([card.ts]);
  const target = await command.openTarget();
  expect(await target.effects(requestId)).toEqual({ count: 1, keptRows: 1 });
  await target.close();
}
