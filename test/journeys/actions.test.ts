import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { buttonsOf } from '../../src/dev/slack-person.ts';
import { codeOf } from '../../src/refusal.ts';
import { type Asked, type Firebreak, startFirebreak } from '../fixtures/firebreak.ts';

/** What an agent can ask besides a deletion: to read, to undo, to take a request back. */
let firebreak: Firebreak;
beforeAll(async () => {
  firebreak = await startFirebreak();
});
afterAll(async () => await firebreak.stop());

const kindsOf = async (requestId: string) => (await firebreak.entries(requestId)).map(({ kind }) => kind);
const rowOf = async ({ row }: Asked) =>
  (await firebreak.shop.query('select * from newsletter_subscriptions where id = $1', [row])).rows;

describe('a read', () => {
  const ids = [11, 12, 13];
  const emailsSchema = z.array(z.object({ email: z.string() })).length(ids.length);

  async function read(changes: object = {}) {
    const input = {
      database: 'shop',
      table: 'newsletter_subscriptions',
      where: { column: 'id', op: 'in', value: ids },
      limit: 10,
      ...changes,
    };
    const { requestId } = await firebreak.client.submit({ action: 'postgres.rows.read', input });
    return { requestId, view: await firebreak.client.waitFor(requestId, { timeoutMs: 30_000 }) };
  }

  test('needs nobody, answers exactly the rows, and the ledger holds', async () => {
    const { requestId, view } = await read({ columns: ['id', 'email'] });
    expect(view).toMatchObject({ state: 'done', detail: { rows: ids.length } });
    const there = await firebreak.shop.query(
      `select id::text, email from newsletter_subscriptions where id = any ($1) order by id`,
      [ids],
    );
    expect(await firebreak.client.result(requestId)).toEqual({
      counts: { rows: ids.length },
      repeated: false,
      rows: there.rows,
    });
    expect(await kindsOf(requestId)).toEqual([
      'context-issued',
      'requested',
      'decided',
      'planned',
      'decided',
      'decided',
      'capability-minted',
      'consumed',
      'traded',
      'performed',
      'ended',
    ]);
    expect(await firebreak.target.effects(requestId)).toEqual({ count: 1, keptRows: 0 });
    expect(await firebreak.verify()).toMatchObject({ kind: 'holds' });
  });

  test('leaves no content in history, database, ledger, target record or logs', async () => {
    const { requestId } = await read();
    const { rows } = await firebreak.shop.query(
      'select email from newsletter_subscriptions where id = any ($1)',
      [ids],
    );
    const emails = emailsSchema.parse(rows).map(({ email }) => email);
    expect(JSON.stringify(await firebreak.client.result(requestId))).toContain(emails[0]);
    const places = {
      history: await firebreak.exportHistory(requestId),
      ledger: JSON.stringify(await firebreak.entries(requestId)),
      database: await dump(firebreak.own, 'firebreak'),
      target: await dump(firebreak.shop, 'firebreak'),
      logs: await logs(),
      temporal: await readFile(firebreak.dev.data.temporal, 'latin1'),
    };
    expect(places.database).toContain(requestId);
    expect(places.target).toContain(requestId);
    for (const [place, text] of Object.entries(places)) {
      for (const email of emails) expect(text.includes(email), `${email} in ${place}`).toBe(false);
    }
  });

  test('of another agent’s rows, by another request, shows nothing', async () => {
    const { requestId } = await read();
    const other = await firebreak.client
      .submit({
        action: 'postgres.rows.read',
        input: { database: 'bank', table: 't', where: { column: 'id', op: 'is-null' }, limit: 1 },
      })
      .catch(codeOf);
    expect(other).toBe('NOT_PERMITTED');
    await expect(firebreak.client.result(`${requestId.slice(0, -1)}_`).catch(codeOf)).resolves.toBe(
      'UNKNOWN_REQUEST',
    );
  });
});

describe('an undo', () => {
  test('is asked and approved like any request, puts the rows back, and is done once', async () => {
    const asked = await firebreak.submit();
    const before = await rowOf(asked);
    expect(before).toHaveLength(1);
    await firebreak.click(asked, 'alice');
    expect(await firebreak.ended(asked)).toMatchObject({ state: 'done' });
    expect(await rowOf(asked)).toEqual([]);

    const undo = await firebreak.client.undo(asked.requestId);
    expect(await firebreak.client.undo(asked.requestId)).toMatchObject({ requestId: undo.requestId });
    const card = await firebreak.slack.findCard(undo.requestId);
    expect(JSON.stringify(card.blocks)).toContain(asked.requestId);
    expect(await rowOf(asked)).toEqual([]);
    await firebreak.slack.click('U0BOB', card, 'Approve');
    expect(await firebreak.client.waitFor(undo.requestId)).toMatchObject({
      state: 'done',
      detail: { rows: 1 },
    });
    expect(await rowOf(asked)).toEqual(before);
    expect(await firebreak.target.effects(undo.requestId)).toEqual({ count: 1, keptRows: 0 });

    const second = await firebreak.client.undo(asked.requestId);
    expect(second.requestId).not.toBe(undo.requestId);
    expect(await firebreak.client.waitFor(second.requestId)).toMatchObject({
      state: 'failed',
      detail: { code: 'ALREADY_RESTORED' },
    });
    expect(await kindsOf(second.requestId)).not.toContain('asked');
    expect(await firebreak.verify()).toMatchObject({ kind: 'holds' });
  });

  test('that is denied puts nothing back, and can be asked again', async () => {
    const asked = await firebreak.submit();
    await firebreak.click(asked, 'alice');
    await firebreak.ended(asked);
    const denied = await firebreak.client.undo(asked.requestId);
    await firebreak.slack.click('U0BOB', await firebreak.slack.findCard(denied.requestId), 'Deny');
    await firebreak.slack.submitReason('U0BOB', 'they stay away');
    expect(await firebreak.client.waitFor(denied.requestId)).toMatchObject({ state: 'denied' });
    expect(await firebreak.isThere(asked)).toBe(false);
    expect((await firebreak.client.undo(asked.requestId)).requestId).not.toBe(denied.requestId);
  });

  test('of a request that waits or was a read is refused', async () => {
    const asked = await firebreak.submit();
    await expect(firebreak.client.undo(asked.requestId).catch(codeOf)).resolves.toBe('NOTHING_KEPT');
    await firebreak.client.cancel(asked.requestId);
    await expect(firebreak.client.undo(asked.requestId).catch(codeOf)).resolves.toBe('NOTHING_KEPT');
  });
});

describe('a cancellation', () => {
  test('while people are asked ends the request, its workflow and its card', async () => {
    const asked = await firebreak.submit();
    const card = await firebreak.slack.findCard(asked.requestId);
    expect(await firebreak.client.cancel(asked.requestId)).toMatchObject({ state: 'cancelled', final: true });
    await firebreak.slack.click('U0ALICE', card, 'Approve');
    const workflow = firebreak.temporal.workflow.getHandle(`request/${asked.requestId}`);
    await expect
      .poll(async () => (await workflow.describe()).status.name, { timeout: 20_000 })
      .toBe('COMPLETED');
    await expect
      .poll(async () => {
        const now = (await firebreak.slack.messages()).find(({ ts }) => ts === card.ts);
        return now === undefined ? -1 : buttonsOf(now).length;
      })
      .toBe(0);
    expect(await firebreak.isThere(asked)).toBe(true);
    expect(await firebreak.client.show(asked.requestId)).toMatchObject({ state: 'cancelled' });
    const kinds = await kindsOf(asked.requestId);
    expect(kinds).toContain('cancelled');
    expect(kinds).not.toContain('voted');
    expect(kinds).not.toContain('consumed');
    expect(await firebreak.verify()).toMatchObject({ kind: 'holds' });
  });

  test('right after the request was filed asks nobody', async () => {
    const asked = await firebreak.submit();
    await firebreak.client.cancel(asked.requestId);
    const workflow = firebreak.temporal.workflow.getHandle(`request/${asked.requestId}`);
    await expect
      .poll(
        async () =>
          await workflow.describe().then(
            ({ status }) => status.name,
            () => 'NONE',
          ),
        {
          timeout: 20_000,
        },
      )
      .toBe('COMPLETED');
    expect(await firebreak.isThere(asked)).toBe(true);
    expect(await firebreak.client.show(asked.requestId)).toMatchObject({ state: 'cancelled' });
  });

  test('of a done request is refused', async () => {
    const asked = await firebreak.submit();
    await firebreak.click(asked, 'alice');
    await firebreak.ended(asked);
    await expect(firebreak.client.cancel(asked.requestId).catch(codeOf)).resolves.toBe('REQUEST_CLOSED');
    expect(await firebreak.client.show(asked.requestId)).toMatchObject({ state: 'done' });
  });

  // Each step of an attempt, so that the two meet before, at and after the point of no return.
  test.each(['voted', 'decided', 'capability-minted', 'capability-minted', 'consumed', 'performed'])(
    'that comes as soon as %s is written: exactly one of the two wins',
    async (kind) => {
      const asked = await firebreak.submit();
      const card = await firebreak.slack.findCard(asked.requestId);
      const [cancelled] = await Promise.all([
        written(asked, kind).then(
          async () => await firebreak.client.cancel(asked.requestId).then(({ state }) => state, codeOf),
        ),
        firebreak.slack.click('U0ALICE', card, 'Approve'),
      ]);
      const { state } = await firebreak.ended(asked);
      const { count } = await firebreak.target.effects(asked.requestId);
      const isConsumed = (await kindsOf(asked.requestId)).includes('consumed');
      expect([
        { cancelled: 'cancelled', state: 'cancelled', count: 0, isConsumed: false },
        { cancelled: 'REQUEST_CLOSED', state: 'done', count: 1, isConsumed: true },
      ]).toContainEqual({ cancelled, state, count, isConsumed });
      expect(await firebreak.isThere(asked)).toBe(count === 0);
    },
  );

  test('leaves a ledger that holds', async () => {
    expect(await firebreak.verify()).toMatchObject({ kind: 'holds' });
  });
});

/** As soon as an entry of this kind is durable after the card was asked. */
async function written({ requestId }: Asked, kind: string): Promise<void> {
  for (let found: number | null = 0; found === 0; await delay(1)) {
    ({ rowCount: found } = await firebreak.own.query(
      `select from firebreak.entry e where request_id = $1 and kind = $2 and number >
         (select number from firebreak.entry where request_id = $1 and kind = 'asked')`,
      [requestId, kind],
    ));
  }
}

/** Every row of every table of a schema, as text. */
async function dump(client: Firebreak['own'], schema: string): Promise<string> {
  const { rows } = await client.query(
    `select table_name as name from information_schema.tables where table_schema = $1 and table_type = 'BASE TABLE'`,
    [schema],
  );
  const texts: string[] = [];
  for (const { name } of rows) {
    const found = await client.query(
      `select t::text as text from ${schema}.${client.escapeIdentifier(name)} t`,
    );
    texts.push(...found.rows.map(({ text }) => String(text)));
  }
  return texts.join('\n');
}

async function logs(): Promise<string> {
  const directory = dirname(firebreak.dev.data.log('any'));
  const files = await readdir(directory);
  return (await Promise.all(files.map(async (file) => await readFile(join(directory, file), 'utf8')))).join(
    '\n',
  );
}
