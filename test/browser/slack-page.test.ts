import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { findChromium, startBrowser } from '../fixtures/browser.ts';
import { type Asked, type Firebreak, startFirebreak } from '../fixtures/firebreak.ts';

/** A person in front of the channel: reads a card, clicks, and sees what came of it without a reload. */
let firebreak: Firebreak;
let browser: Browser;
let page: Page;
const faults: string[] = [];
beforeAll(async () => {
  browser = await startBrowser();
  firebreak = await startFirebreak();
});
afterAll(async () => {
  await browser?.close();
  await firebreak?.stop();
});
beforeEach(async () => {
  faults.length = 0;
  page = await browser.newPage({ viewport: { width: 1_280, height: 900 } });
  page.on('pageerror', ({ message }) => faults.push(message));
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text());
  });
});
afterEach(async () => {
  await page.close();
  if (faults.length > 0) throw new Error(`the page had faults: ${faults.join('; ')}`);
});

async function open(person: 'Alice Adams' | 'Bob Brown'): Promise<void> {
  await page.goto(firebreak.dev.slack().page);
  await page.getByRole('link', { name: person }).click();
  await page.getByRole('main').getByText(`You are ${person}`).waitFor();
}

/** The request's card, once it stands in the channel: the page shows it by itself. */
async function cardOf({ requestId }: Asked): Promise<Locator> {
  const { ts } = await firebreak.slack.findCard(requestId);
  return page.locator(`article[data-ts="${ts}"]`);
}

/** For the eyes of whoever asks for it: `FIREBREAK_SCREENSHOTS=DIR`. */
async function look(name: string): Promise<void> {
  const directory = process.env['FIREBREAK_SCREENSHOTS'];
  if (directory === undefined) return;
  await mkdir(directory, { recursive: true });
  await page.screenshot({ path: join(directory, `${name}.png`) });
}

test('Approve asks once more, then the row goes, and the card says so', async () => {
  await open('Alice Adams');
  const asked = await firebreak.submit();
  const card = await cardOf(asked);
  await card.getByText('approval wanted').waitFor();
  await card.getByText(asked.requestId).waitFor();
  await look('card');
  await card.getByRole('button', { name: 'Approve' }).click();
  const question = page.getByRole('dialog', { name: 'Approve this?' });
  expect(await question.textContent()).toContain('newsletter_subscriptions');
  await look('confirm');
  await question.getByRole('button', { name: 'Approve' }).click();
  await card.getByText('✅ Done').first().waitFor();
  await card.getByText('1 reply').waitFor();
  expect(await card.getByRole('button').count()).toBe(0);
  await look('done');
  expect(await firebreak.ended(asked)).toMatchObject({ state: 'done' });
  expect(await firebreak.isThere(asked)).toBe(false);
});

test('going back at the question approves nothing', async () => {
  await open('Alice Adams');
  const asked = await firebreak.submit();
  const card = await cardOf(asked);
  await card.getByRole('button', { name: 'Approve' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Go back' }).click();
  await card.getByRole('button', { name: 'Approve' }).click();
  await page.keyboard.press('Escape');
  const kinds = (await firebreak.entries(asked.requestId)).map(({ kind }) => kind);
  expect(kinds).not.toContain('voted');
  expect(await firebreak.client.show(asked.requestId)).toMatchObject({ state: 'waiting' });
});

test('Deny asks for a reason, and the agent gets it', async () => {
  await open('Bob Brown');
  const asked = await firebreak.submit();
  const card = await cardOf(asked);
  await card.getByRole('button', { name: 'Deny' }).click();
  const window = page.getByRole('dialog', { name: 'Deny' });
  await window.getByLabel('Why').selectOption({ label: 'more than is needed' });
  await window.getByLabel('In your words').fill('one row is enough');
  await look('deny');
  await window.getByRole('button', { name: 'Deny' }).click();
  await window.waitFor({ state: 'detached' });
  await card.getByText('❌ Denied').first().waitFor();
  expect(await card.getByRole('button').count()).toBe(0);
  await look('denied');
  const view = await firebreak.ended(asked);
  expect(view).toMatchObject({ state: 'denied', detail: { by: 'bob' } });
  expect(JSON.stringify(view.detail)).toContain('more than is needed: one row is enough');
  expect(await firebreak.isThere(asked)).toBe(true);
});

test('a machine without a browser is told how to get one', () => {
  expect(() => findChromium({ CHROMIUM: '/nowhere/chromium' })).toThrow(/apt-get install -y chromium/);
  expect(findChromium({})).toMatch(/chrom/);
});
