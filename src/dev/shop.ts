import { readFileSync } from 'node:fs';
import { Client, escapeIdentifier } from 'pg';
import type { Log } from '../log.ts';
import { Refusal } from '../refusal.ts';
import { type ShopTable, shopTables } from './shop-rows.ts';

/**
 * Fills an empty database with a shop: the same rows each time, by a fixed seed and fixed dates. It promises to
 * be whole or not there at all, and leaves a shop that is already there as it is.
 */
const CONNECT_TIMEOUT_MS = 5_000;
const LOAD_TIMEOUT_MS = 60_000;
/** Rows an insert; larger ones only take more memory. */
const BATCH_ROWS = 10_000;

/** Safe to call again: the second call sees the shop and does nothing. */
export async function createShop(adminUrl: string, log: Log): Promise<void> {
  const client = new Client({
    connectionString: adminUrl,
    application_name: 'firebreak-dev-shop',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: LOAD_TIMEOUT_MS,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    if (await isThere(client)) {
      log.debug('the shop is already there');
      return;
    }
    const rows = await fill(client);
    log.info({ rows }, 'the shop was created');
  } catch (cause) {
    throw new Refusal('SETUP_FAILED', 'the shop cannot be created in this database', { cause });
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Puts rows back that were taken out since, so that a demo on kept data has something to do; others stay. */
export async function refillShop(adminUrl: string): Promise<void> {
  const client = new Client({ connectionString: adminUrl, statement_timeout: LOAD_TIMEOUT_MS });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query(`begin; set local search_path = public; set local TimeZone = 'UTC'`);
    for (const table of shopTables()) {
      const { rows } = await client.query<{ count: string }>(
        `select count(*) from ${escapeIdentifier(table.name)}`,
      );
      if (Number(rows[0]?.count) < table.rows.length) await insert(client, table);
    }
    await client.query('commit');
  } finally {
    await client.end();
  }
}

async function isThere(client: Client): Promise<boolean> {
  const found = await client.query<{ there: boolean }>(
    `select to_regclass('public.newsletter_subscriptions') is not null as there`,
  );
  return found.rows[0]?.there ?? false;
}

async function fill(client: Client): Promise<number> {
  await client.query(`begin; set local search_path = public; set local TimeZone = 'UTC'`);
  // Foreign keys are checked here as for anybody: a wrong row is an error and not a surprise in the demo.
  await client.query(readFileSync(new URL('shop.sql', import.meta.url), 'utf8'));
  let count = 0;
  for (const table of shopTables()) count += await insert(client, table);
  await client.query(
    `select setval(pg_get_serial_sequence('newsletter_subscriptions', 'id'), max(id))
       from newsletter_subscriptions`,
  );
  await client.query('commit');
  await client.query('analyze');
  return count;
}

async function insert(client: Client, { name, columns, rows }: ShopTable): Promise<number> {
  const names = Object.keys(columns).map((column) => escapeIdentifier(column));
  // Text arrays of one column each; a column that is itself an array arrives as its literal.
  const casts = Object.values(columns).map((type, index) => `v${index}::${type}`);
  const bound = casts.map((_, index) => `$${index + 1}::text[]`);
  const aliases = casts.map((_, index) => `v${index}`);
  const text = `insert into ${escapeIdentifier(name)} (${names.join(', ')})
    select ${casts.join(', ')} from unnest(${bound.join(', ')}) as v (${aliases.join(', ')})
    on conflict do nothing`;
  for (let start = 0; start < rows.length; start += BATCH_ROWS) {
    const batch = rows.slice(start, start + BATCH_ROWS);
    await client.query(
      text,
      casts.map((_, index) => batch.map((row) => row[index] ?? null)),
    );
  }
  return rows.length;
}
