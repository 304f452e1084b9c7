import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { openTargetWitness } from '../../src/dev/demo/target.ts';
import type { PartName } from '../../src/dev/parts.ts';
import { buttonsOf } from '../../src/dev/slack-person.ts';
import type { Fault } from '../../src/dev/slack-stand-in/faults.ts';
import { codeOf } from '../../src/refusal.ts';
import { type Asked, type Firebreak, startFirebreak } from '../fixtures/firebreak.ts';

/**
 * One part away in the middle: nothing destructive starts without it, what was accepted stays and goes on by itself
 * when it is back, and `/readyz` and the log name it.
 */
let firebreak: Firebreak;
beforeAll(async () => {
  firebreak = await startFirebreak();
});
afterAll(async () => await firebreak.stop());
/** What a test took away, and brings back also when it fails. */
const away = new Set<PartName>();
afterEach(async () => {
  for (const part of away) await bringBack(part);
  await slackMeets();
});

/** Long enough for what is approved to be performed when nothing is missing. */
const PERFORMED_WITHIN_MS = 2_000;

describe('between approve and perform', () => {
  test.each(['planner', 'broker', 'gate', 'credentials', 'shop'] as const)(
    '%s is waited for, and then it is done once',
    async (part) => {
      const asked = await firebreak.submit();
      await firebreak.slack.findCard(asked.requestId);
      await takeAway(part);
      await firebreak.click(asked, 'alice');
      await untilVoted(asked);
      await delay(PERFORMED_WITHIN_MS);
      expect(await missing()).toContain(part);
      expect(await kinds(asked)).not.toContain('consumed');
      expect(await firebreak.client.show(asked.requestId)).toMatchObject({ final: false });
      await bringBack(part);
      await expectDoneOnce(asked);
    },
  );

  test('postgres is waited for, and then it is done once', async () => {
    const asked = await firebreak.submit();
    await takeAway('executor');
    await firebreak.click(asked, 'alice');
    await untilVoted(asked);
    await takeAway('postgres');
    await bringBack('executor');
    await delay(PERFORMED_WITHIN_MS);
    expect(await missing()).toEqual(
      expect.arrayContaining(['postgres', 'gateway: database', 'people: database']),
    );
    expect(await effectsOf(asked)).toBe(0);
    await bringBack('postgres');
    await expectDoneOnce(asked);
    await expect.poll(missing).toEqual([]);
    expect(firebreak.said.join('\n')).toMatch(/^gateway: .*database/m);
  });

  test('Temporal is waited for, the vote counts meanwhile, and then it is done once', async () => {
    const asked = await firebreak.submit();
    await firebreak.slack.findCard(asked.requestId);
    await takeAway('temporal');
    await firebreak.click(asked, 'alice');
    await untilVoted(asked);
    await delay(PERFORMED_WITHIN_MS);
    expect(await missing()).toEqual(
      expect.arrayContaining(['temporal', 'gateway: temporal', 'people: temporal']),
    );
    expect(await effectsOf(asked)).toBe(0);
    await bringBack('temporal');
    await expectDoneOnce(asked);
    await expect.poll(missing, { timeout: 20_000 }).toEqual([]);
    expect(firebreak.said.join('\n')).toMatch(/^people: workflows hear of votes later/m);
  });
});

describe('between effect and record', () => {
  test('postgres is waited for, and the outcome is recorded', async () => {
    const asked = await firebreak.submit();
    await firebreak.slack.findCard(asked.requestId);
    const holding = new Client({ connectionString: firebreak.dev.urls.superuser('firebreak') });
    holding.on('error', () => undefined);
    await holding.connect();
    // Nobody can record while this is held, so the crash falls between the two.
    await holding.query('begin');
    await holding.query('lock table firebreak.outcome in exclusive mode');
    await firebreak.click(asked, 'alice');
    await expect.poll(async () => await effectsOf(asked), { timeout: 20_000 }).toBe(1);
    await takeAway('postgres');
    await bringBack('postgres');
    await expectDoneOnce(asked);
    await holding.end().catch(() => undefined);
  });
});

describe('before anybody is asked', () => {
  test.each(['planner', 'people', 'orchestrator', 'temporal'] as const)(
    'what was accepted while %s is away goes on by itself',
    async (part) => {
      await takeAway(part);
      const asked = await firebreak.submit();
      await delay(PERFORMED_WITHIN_MS);
      expect(await missing()).toContain(part);
      expect(await firebreak.client.show(asked.requestId)).toMatchObject({ state: 'accepted' });
      await bringBack(part);
      await firebreak.click(asked, 'alice');
      await expectDoneOnce(asked);
    },
  );

  test.each(['postgres', 'broker', 'gateway'] as const)(
    'without %s nothing is accepted, the refusal says so, and asking again with the same key files it once',
    async (part) => {
      const ask = { idempotencyKey: `without-${part}`, row: 3_000 + part.length };
      await takeAway(part);
      await expect(firebreak.submit(ask).catch(codeOf)).resolves.toBe('UNAVAILABLE');
      await bringBack(part);
      await expect.poll(missing, { timeout: 20_000 }).toEqual([]);
      const asked = await firebreak.submit(ask);
      expect((await firebreak.submit(ask)).requestId).toBe(asked.requestId);
      await firebreak.click(asked, 'bob');
      await expectDoneOnce(asked);
    },
  );
});

describe('Slack', () => {
  test('a request asked while Slack is away waits, and its card comes by itself', async () => {
    await slackMeets({ method: '*', kind: 'down', times: 10_000 });
    const asked = await firebreak.submit();
    await expect.poll(async () => await kinds(asked), { timeout: 10_000 }).toContain('asked');
    await expect.poll(missing).toContain('people: slack');
    await expect.poll(() => firebreak.said.join('\n')).toMatch(/^people: Slack takes no cards/m);
    expect(await firebreak.client.show(asked.requestId)).toMatchObject({ state: 'waiting' });
    await slackMeets();
    await firebreak.click(asked, 'alice');
    await expectDoneOnce(asked);
    expect(await missing()).toEqual([]);
  });

  test('Slack lost between approve and outcome stops nothing, and one card says so afterwards', async () => {
    const asked = await firebreak.submit();
    const card = await firebreak.slack.findCard(asked.requestId);
    await slackMeets({ method: '*', kind: 'down', times: 10_000 });
    await firebreak.slack.click('U0ALICE', card, 'Approve');
    await expectDoneOnce(asked);
    await slackMeets();
    const cards = async () =>
      (await firebreak.slack.messages()).filter(({ text }) => text.includes(asked.requestId));
    await expect.poll(async () => (await cards()).map(buttonsOf), { timeout: 40_000 }).toEqual([[]]);
    await expect.poll(async () => (await firebreak.slack.thread(card)).length, { timeout: 10_000 }).toBe(1);
  });

  test('a lost answer posts no second card', async () => {
    await slackMeets({ method: 'chat.postMessage', kind: 'lost', times: 1 });
    const asked = await firebreak.submit();
    const card = await firebreak.slack.findCard(asked.requestId);
    // A click on a card that nobody has recorded yet is refused; the person clicks again.
    const clicked = async () => {
      await firebreak.slack.click('U0ALICE', card, 'Approve');
      return await kinds(asked);
    };
    await expect.poll(clicked, { interval: 500, timeout: 20_000 }).toContain('voted');
    await expectDoneOnce(asked);
    const cards = (await firebreak.slack.messages()).filter(({ text }) => text.includes(asked.requestId));
    expect(cards).toHaveLength(1);
  });
});

test('the ledger of all this verifies', async () => {
  expect(await firebreak.verify()).toMatchObject({ kind: 'holds' });
});

async function takeAway(part: PartName): Promise<void> {
  away.add(part);
  await firebreak.dev.kill(part, 'SIGKILL');
}

async function bringBack(part: PartName): Promise<void> {
  away.delete(part);
  await firebreak.dev.restart(part);
}

const readyzSchema = z.object({ missing: z.array(z.string()) });

async function missing(): Promise<string[]> {
  const response = await fetch(`${firebreak.dev.ready().origin}/readyz`);
  return readyzSchema.parse(await response.json()).missing;
}

async function kinds({ requestId }: Asked): Promise<string[]> {
  return (await firebreak.entries(requestId)).map(({ kind }) => kind);
}

async function untilVoted(asked: Asked): Promise<void> {
  await expect.poll(async () => await kinds(asked), { timeout: 10_000 }).toContain('voted');
}

/** A look of its own each time: the target itself may have been away. */
async function effectsOf({ requestId }: Asked): Promise<number> {
  const target = await openTargetWitness(firebreak.dev.urls.shopSuperuser);
  try {
    return (await target.effects(requestId)).count;
  } finally {
    await target.close();
  }
}

async function expectDoneOnce(asked: Asked): Promise<void> {
  expect(await firebreak.ended(asked)).toMatchObject({ state: 'done', detail: { rows: 1 } });
  expect(await effectsOf(asked)).toBe(1);
}

async function slackMeets(...faults: Partial<Fault>[]): Promise<void> {
  const response = await fetch(`${firebreak.dev.slack().page}/control`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ faults }),
  });
  expect(response.status).toBe(200);
}
