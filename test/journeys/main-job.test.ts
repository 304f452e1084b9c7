import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { buttonsOf } from '../../src/dev/slack-person.ts';
import { codeOf } from '../../src/refusal.ts';
import { deletionOf, type Firebreak, startFirebreak } from '../fixtures/firebreak.ts';

let firebreak: Firebreak;
beforeAll(async () => {
  firebreak = await startFirebreak();
});
afterAll(async () => await firebreak.stop());

test('an approved deletion happens once, and the ledger proves it', async () => {
  const asked = await firebreak.submit();
  const card = await firebreak.click(asked, 'alice');
  expect(await firebreak.ended(asked)).toMatchObject({ state: 'done', detail: { rows: 1 } });

  expect(await firebreak.isThere(asked)).toBe(false);
  expect(await firebreak.target.effects(asked.requestId)).toEqual({ count: 1, keptRows: 1 });
  expect(await firebreak.client.result(asked.requestId)).toEqual({ counts: { rows: 1 }, repeated: false });
  const kinds = (await firebreak.entries(asked.requestId)).map(({ kind }) => kind);
  expect(kinds).toEqual([
    'context-issued',
    'requested',
    'decided',
    'planned',
    'decided',
    'asked',
    'voted',
    'decided',
    'capability-minted',
    'consumed',
    'traded',
    'performed',
    'ended',
  ]);
  expect(await firebreak.verify()).toMatchObject({ kind: 'holds' });

  await expect
    .poll(async () => {
      const now = (await firebreak.slack.messages()).find(({ ts }) => ts === card.ts);
      return now === undefined ? -1 : buttonsOf(now).length;
    })
    .toBe(0);
  await expect.poll(async () => (await firebreak.slack.thread(card)).length).toBe(1);
});

test('the rows that were deleted can be put back from what the target kept', async () => {
  const asked = await firebreak.submit();
  const read = async () =>
    (await firebreak.shop.query('select * from newsletter_subscriptions where id = $1', [asked.row])).rows;
  const before = await read();
  await firebreak.click(asked, 'bob');
  await firebreak.ended(asked);
  expect(await read()).toEqual([]);
  await firebreak.shop.query('select firebreak.restore_rows($1)', [asked.requestId]);
  expect(await read()).toEqual(before);
});

test('a denied deletion does not happen, and the agent hears who and why', async () => {
  const asked = await firebreak.submit();
  const card = await firebreak.slack.findCard(asked.requestId);
  await firebreak.slack.click('U0BOB', card, 'Deny');
  await firebreak.slack.submitReason('U0BOB', 'not this one');
  const view = await firebreak.ended(asked);
  expect(view).toMatchObject({ state: 'denied', detail: { code: 'DENIED', by: 'bob' } });
  expect(JSON.stringify(view.detail)).toContain('not this one');
  expect(await firebreak.isThere(asked)).toBe(true);
});

test('rows that change after the approval are shown again, on a new card, before anything is deleted', async () => {
  const asked = await firebreak.submit();
  const first = await firebreak.slack.findCard(asked.requestId);
  await firebreak.shop.query('update newsletter_subscriptions set email = $2 where id = $1', [
    asked.row,
    'somebody-else@example.com',
  ]);
  await firebreak.slack.click('U0ALICE', first, 'Approve');
  await expect
    .poll(async () => (await firebreak.slack.findCard(asked.requestId)).ts, { timeout: 20_000 })
    .not.toBe(first.ts);
  expect(await firebreak.isThere(asked)).toBe(true);
  await firebreak.click(asked, 'bob');
  expect(await firebreak.ended(asked)).toMatchObject({ state: 'done' });
  expect(await firebreak.target.effects(asked.requestId)).toMatchObject({ count: 1 });
  expect(await firebreak.verify()).toMatchObject({ kind: 'holds' });
});

describe('a deletion that reaches further', () => {
  const kindsOf = async (requestId: string) => (await firebreak.entries(requestId)).map(({ kind }) => kind);
  const idSchema = z.tuple([z.object({ id: z.int() })]);
  const submit = async (table: string, id: number) => {
    const where = { column: 'id', op: 'eq', value: id };
    const input = { database: 'shop', table, where, limit: 10 };
    return await firebreak.client.submit({ action: 'postgres.rows.delete', input });
  };
  const clickOn = async (requestId: string, user: string) =>
    await firebreak.slack.click(user, await firebreak.slack.findCard(requestId), 'Approve');

  test('takes a customer’s addresses along, says so on the card, and undo brings all of it back', async () => {
    const { rows } = await firebreak.shop.query(
      `select c.id from customers c where exists (select from addresses a where a.customer_id = c.id)
         and not exists (select from orders o where o.customer_id = c.id)
         and not exists (select from reviews r where r.customer_id = c.id)
         and not exists (select from newsletter_subscriptions n where n.customer_id = c.id)
         and not exists (select from abandoned_carts b where b.customer_id = c.id) order by c.id limit 1`,
    );
    const [{ id }] = idSchema.parse(rows);
    const state = async () => {
      const customers = await firebreak.shop.query('select * from customers where id = $1', [id]);
      const addresses = await firebreak.shop.query(
        'select * from addresses where customer_id = $1 order by id',
        [id],
      );
      return [customers.rows, addresses.rows];
    };
    const before = await state();
    const cascadedRows = before[1]?.length ?? 0;
    expect(cascadedRows).toBeGreaterThan(0);

    const { requestId } = await submit('customers', id);
    const card = JSON.stringify((await firebreak.slack.findCard(requestId)).blocks);
    expect(card).toContain('of public.addresses, by foreign key');
    expect(card).toContain(`with ${cascadedRows} cascaded row`);
    await clickOn(requestId, 'U0ALICE');
    const done = { state: 'done', detail: { rows: 1, cascadedRows } };
    expect(await firebreak.client.waitFor(requestId)).toMatchObject(done);
    expect(await state()).toEqual([[], []]);
    expect(await firebreak.target.effects(requestId)).toEqual({ count: 1, keptRows: 1 + cascadedRows });

    const undo = await firebreak.client.undo(requestId);
    await clickOn(undo.requestId, 'U0BOB');
    expect(await firebreak.client.waitFor(undo.requestId)).toMatchObject(done);
    expect(await state()).toEqual(before);
    expect(await firebreak.verify()).toMatchObject({ kind: 'holds' });
  });

  /** Of an order that no other test asks for. */
  const PAYMENT = 2_000;

  test('by a trigger needs two persons, says so on the card, and leaves a ledger that holds', async () => {
    const { requestId } = await submit('payments', PAYMENT);
    const card = await firebreak.slack.findCard(requestId);
    expect(JSON.stringify(card.blocks)).toContain('Could also: do what trigger');
    expect(JSON.stringify(card.blocks)).toContain('2 persons');
    await clickOn(requestId, 'U0ALICE');
    await expect.poll(async () => await kindsOf(requestId)).toContain('voted');
    await delay(500);
    expect(await kindsOf(requestId)).not.toContain('consumed');
    await clickOn(requestId, 'U0BOB');
    expect(await firebreak.client.waitFor(requestId)).toMatchObject({ state: 'done', detail: { rows: 1 } });
    const noted = await firebreak.shop.query('select from payment_changes where payment_id = $1', [PAYMENT]);
    expect(noted.rowCount).toBe(1);
    expect((await firebreak.entries(requestId)).find(({ kind }) => kind === 'consumed')).toMatchObject({
      overshoot: 1,
      quorum: 2,
    });
    expect(await firebreak.verify()).toMatchObject({ kind: 'holds' });
  });
});

test('two clicks of one person count once', async () => {
  const asked = await firebreak.submit();
  const card = await firebreak.slack.findCard(asked.requestId);
  await Promise.all([1, 2, 3].map(async () => await firebreak.slack.click('U0ALICE', card, 'Approve')));
  await firebreak.ended(asked);
  const kinds = (await firebreak.entries(asked.requestId)).map(({ kind }) => kind);
  expect(kinds.filter((kind) => kind === 'voted')).toHaveLength(1);
  expect(await firebreak.target.effects(asked.requestId)).toMatchObject({ count: 1 });
});

test('the same Idempotency-Key and body is the same request, another body is refused', async () => {
  const first = await firebreak.submit({ idempotencyKey: 'key-1' });
  const again = await firebreak.submit({ idempotencyKey: 'key-1', row: first.row });
  expect(again.requestId).toBe(first.requestId);
  const other = firebreak.submit({ idempotencyKey: 'key-1', row: first.row + 1_000 });
  await expect(other.catch(codeOf)).resolves.toBe('IDEMPOTENCY_KEY_REUSED');
});

test('rows that others still refer to and an unknown table are refused before anybody is asked', async () => {
  const ask = async (table: string) => {
    const deletion = deletionOf(1);
    const { requestId } = await firebreak.client.submit({
      ...deletion,
      input: { ...deletion.input, table },
    });
    return await firebreak.client.waitFor(requestId, { timeoutMs: 20_000 });
  };
  expect(await ask('public.orders')).toMatchObject({
    state: 'failed',
    detail: { code: 'PLAN_UNSUPPORTED' },
  });
  expect(await ask('public.nothing')).toMatchObject({ state: 'failed', detail: { code: 'INVALID_INPUT' } });
});

test('no token, input or result stands in an exported history', async () => {
  const asked = await firebreak.submit();
  await firebreak.click(asked, 'alice');
  await firebreak.ended(asked);
  const history = await firebreak.exportHistory(asked.requestId);
  expect(history).toContain(asked.requestId);
  expect(history).toContain('binary/firebreak-aes-256-gcm');
  expect(history).not.toContain('newsletter_subscriptions');
  // Every compact JWS begins with the header's {"…
  expect(history).not.toMatch(/eyJ[A-Za-z0-9_-]+\.eyJ/);
});
