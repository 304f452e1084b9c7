import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { installTarget } from '../../activities/postgres/install-target.ts';
import { openTestTarget, type TestTarget } from '../../activities/postgres/test-target.ts';
import { createLog } from '../log.ts';
import { createShop } from './shop.ts';

const log = createLog('test', 'silent');
const whole = (table: string) => ({
  database: 'shop',
  table,
  where: { column: 'id', op: 'le', value: 10 },
  limit: 100,
});

let target: TestTarget;
beforeAll(async () => {
  target = await openTestTarget('');
  await createShop(target.install.adminUrl, log);
  await installTarget(target.install);
});
afterAll(() => target.stop());

async function contents(): Promise<unknown[]> {
  const tables = await target.admin.query<{ name: string }>(
    `select relname as name from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1`,
  );
  const found: unknown[] = [];
  for (const { name } of tables.rows) {
    const counted = await target.admin.query<{ rows: number; digest: string | null }>(
      `select count(*)::int as rows, md5(string_agg(t::text, '' order by t::text)) as digest from ${name} t`,
    );
    found.push({ name, ...counted.rows[0] });
  }
  return found;
}

const contentsSchema = z.array(z.object({ name: z.string(), rows: z.int() }));

test('the shop has ten tables or more with foreign keys and 100,000 rows or more', async () => {
  const tables = contentsSchema.parse(await contents());
  expect(tables.length).toBeGreaterThanOrEqual(10);
  expect(tables.reduce((sum, table) => sum + table.rows, 0)).toBeGreaterThanOrEqual(100_000);
  const keys = await target.admin.query(`select from pg_constraint where contype = 'f'`);
  expect(keys.rowCount).toBeGreaterThanOrEqual(10);
});

test('a second call changes nothing, and a second shop is the same', async () => {
  const before = await contents();
  await createShop(target.install.adminUrl, log);
  expect(await contents()).toEqual(before);
  await target.admin.query('drop schema public cascade; create schema public');
  await createShop(target.install.adminUrl, log);
  await installTarget(target.install);
  expect(await contents()).toEqual(before);
});

test("the demo's request can be planned and matches some rows of many", async () => {
  const file = await readFile(new URL('../../demo/request.json', import.meta.url), 'utf8');
  const request = z
    .strictObject({ action: z.literal('postgres.rows.delete'), input: z.json() })
    .parse(JSON.parse(file));
  const plan = await target.plan(request.input);
  expect(plan.counts['rows']).toBeGreaterThanOrEqual(40);
  expect(plan.counts['rows']).toBeLessThanOrEqual(200);
});

test.each([
  ['customers', 'still refer'],
  ['orders', 'still refer'],
])('%s is there to be refused: %s', async (table, reason) => {
  await expect(target.plan(whole(table))).rejects.toMatchObject({
    code: 'PLAN_UNSUPPORTED',
    message: expect.stringContaining(reason),
  });
});

test('a customer who bought nothing takes addresses along, and one who wrote a review is refused', async () => {
  const deletion = async (condition: string) => {
    const found = await target.admin.query<{ id: number }>(
      `select c.id from customers c where ${condition}
         and not exists (select from orders o where o.customer_id = c.id)
         and not exists (select from newsletter_subscriptions n where n.customer_id = c.id)
         and not exists (select from abandoned_carts a where a.customer_id = c.id) order by c.id limit 1`,
    );
    const where = { column: 'id', op: 'eq', value: found.rows[0]?.id };
    return await target.plan({ database: 'shop', table: 'customers', where, limit: 1 });
  };
  const wrote = 'exists (select from reviews r where r.customer_id = c.id)';
  await expect(deletion(`not ${wrote}`)).resolves.toMatchObject({
    counts: { rows: 1, cascadedRows: expect.any(Number) },
    overshoot: [],
  });
  await expect(deletion(wrote)).rejects.toMatchObject({
    code: 'PLAN_UNSUPPORTED',
    message: expect.stringContaining('on delete set null'),
  });
});

test('payments fire a trigger', async () => {
  await expect(target.plan(whole('payments'))).resolves.toMatchObject({
    counts: { rows: 10 },
    overshoot: [expect.stringContaining('"payment_deleted"')],
  });
});

test('abandoned carts can be planned', async () => {
  await expect(target.plan(whole('abandoned_carts'))).resolves.toMatchObject({ counts: { rows: 10 } });
});
