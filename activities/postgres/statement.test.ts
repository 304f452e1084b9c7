import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { BorrowedCredential } from '../../src/action/define.ts';
import { effect } from '../actions/postgres.rows.delete/effect.ts';
import { CASCADE_TABLES_MAX, ROWS_MAX } from './limits.ts';
import { macOf, openTestTarget, type TestTarget, withClient } from './test-target.ts';

let target: TestTarget;
beforeAll(async () => {
  target = await openTestTarget(
    'create table plain (id int primary key, t text, seen timestamptz, ratio float8, photo bytea)',
  );
});
afterAll(() => target.stop());
beforeEach(async () => {
  await target.admin.query(`truncate plain; insert into plain
    select n, 'row ' || n, '2024-01-01T00:00:00Z'::timestamptz, 0.1 * n, '\\x00ff' from generate_series(1, 20) n`);
});

const plainInput = {
  database: 'shop',
  table: 'plain',
  where: { column: 'id', op: 'le', value: 5 },
  limit: 100,
} as const;

async function countOf(table: string): Promise<number> {
  const found = await target.admin.query<{ count: number }>(`select count(*)::int from ${table}`);
  return found.rows[0]?.count ?? -1;
}

const perform = (credential: BorrowedCredential) => effect.perform(credential, target.executorUrl);

describe('the two MACs', () => {
  test.each(['gateMac', 'credentialsMac'] as const)('a wrong %s is refused', async (part) => {
    const credential = target.borrow(await target.plan(plainInput));
    const wrong = { ...credential, [part]: macOf(Buffer.alloc(32, 7), credential.statement) };
    await expect(perform(wrong)).rejects.toMatchObject({ code: 'MAC_INVALID' });
    await expect(perform({ ...credential, [part]: '' })).rejects.toMatchObject({ code: 'MAC_INVALID' });
    await expect(perform(credential)).resolves.toMatchObject({ repeated: false });
  });

  test('swapped MACs, or one MAC twice, are refused', async () => {
    const { statement, gateMac, credentialsMac } = target.borrow(await target.plan(plainInput));
    const attempts = [
      [credentialsMac, gateMac],
      [gateMac, gateMac],
      [credentialsMac, credentialsMac],
    ] as const;
    for (const [first, second] of attempts) {
      await expect(perform({ statement, gateMac: first, credentialsMac: second })).rejects.toMatchObject({
        code: 'MAC_INVALID',
      });
    }
    expect(await countOf('plain')).toBe(20);
  });

  test('a changed byte of the statement is refused', async () => {
    const credential = target.borrow(await target.plan(plainInput));
    const statement = credential.statement.replace('"fence":1', '"fence":2');
    expect(statement).not.toBe(credential.statement);
    await expect(perform({ ...credential, statement })).rejects.toMatchObject({ code: 'MAC_INVALID' });
    await expect(perform({ ...credential, statement: `${credential.statement} ` })).rejects.toMatchObject({
      code: 'MAC_INVALID',
    });
  });

  test('a missing MAC is refused', async () => {
    const { statement, gateMac } = target.borrow(await target.plan(plainInput));
    await withClient(target.executorUrl, async (client) => {
      const call = client.query('select firebreak.perform($1, $2, null)', [statement, gateMac]);
      await expect(call).rejects.toMatchObject({ code: 'ZF001' });
    });
  });
});

describe('the statement', () => {
  const plain = { schema: 'public', table: 'plain', rows: [] };
  const missing = { ...plain, table: 'missing' };
  const { cascades, triggers, ...bare } = {
    kind: 'postgres.rows',
    operation: 'delete',
    ...plain,
    cascades: [],
    triggers: [],
  };
  const deletion = { ...bare, cascades, triggers };
  test.each([
    ['expired', { notAfter: new Date(Date.now() - 1).toISOString() }, 'ZF004'],
    ['for another target', { target: 'other' }, 'ZF003'],
    ['without a fence', { fence: 0 }, 'ZF002'],
    ['of another kind', { effects: { kind: 'postgres.sql', operation: 'delete' } }, 'ZF002'],
    [
      'of another operation',
      { effects: { kind: 'postgres.rows', operation: 'update', schema: 'public', table: 'plain', rows: [] } },
      'ZF002',
    ],
    [
      'with a member that is not known',
      {
        effects: {
          kind: 'postgres.rows',
          operation: 'delete',
          schema: 'public',
          table: 'plain',
          rows: [],
          cascades: [],
          triggers: [],
          all: true,
        },
      },
      'ZF002',
    ],
    [
      'of a read without columns',
      { effects: { kind: 'postgres.rows', operation: 'read', schema: 'public', table: 'plain', rows: [] } },
      'ZF002',
    ],
    [
      'of a restore of no request',
      {
        effects: {
          kind: 'postgres.rows',
          operation: 'restore',
          schema: 'public',
          table: 'plain',
          rows: [],
          cascades: [],
          triggers: [],
        },
      },
      'ZF002',
    ],
    [
      'of a deletion that reads columns',
      {
        effects: {
          kind: 'postgres.rows',
          operation: 'delete',
          schema: 'public',
          table: 'plain',
          rows: [],
          cascades: [],
          triggers: [],
          columns: ['t'],
        },
      },
      'ZF002',
    ],
    [
      'with a key that is not the whole key',
      {
        effects: {
          kind: 'postgres.rows',
          operation: 'delete',
          schema: 'public',
          table: 'plain',
          rows: [{ key: {}, hash: '0'.repeat(64) }],
          cascades: [],
          triggers: [],
        },
      },
      'ZF002',
    ],
    ['without the rows that go along', { effects: { ...bare, triggers } }, 'ZF002'],
    ['without the triggers that fire', { effects: { ...bare, cascades } }, 'ZF002'],
    ['with no list of tables', { effects: { ...deletion, cascades: {} } }, 'ZF002'],
    ['with no list of triggers', { effects: { ...deletion, triggers: 'none' } }, 'ZF002'],
    [
      'with a table of another form',
      { effects: { ...deletion, cascades: [{ ...missing, more: true }] } },
      'ZF002',
    ],
    ['with a table twice', { effects: { ...deletion, cascades: [plain] } }, 'ZF002'],
    [
      'with more tables than a statement may have',
      {
        effects: {
          ...deletion,
          cascades: Array.from({ length: CASCADE_TABLES_MAX + 1 }, (_, n) => ({
            ...missing,
            table: `missing${n}`,
          })),
        },
      },
      'ZF002',
    ],
    [
      'with more rows of all tables than a statement may have',
      {
        effects: {
          ...deletion,
          cascades: [
            {
              ...missing,
              rows: Array.from({ length: ROWS_MAX + 1 }, (_, n) => ({
                key: { id: `${n}` },
                hash: '0'.repeat(64),
              })),
            },
          ],
        },
      },
      'ZF002',
    ],
    [
      "on Firebreak's own record",
      {
        effects: {
          kind: 'postgres.rows',
          operation: 'delete',
          schema: 'firebreak',
          table: 'effects',
          rows: [],
          cascades: [],
          triggers: [],
        },
      },
      '42501',
    ],
    [
      'on no table',
      {
        effects: {
          kind: 'postgres.rows',
          operation: 'delete',
          schema: 'public',
          table: 'x"; drop table plain; --',
          rows: [],
          cascades: [],
          triggers: [],
        },
      },
      'ZF007',
    ],
  ])('%s is refused by code', async (_, changes, sqlState) => {
    const plan = await target.plan(plainInput);
    await expect(perform(target.borrow(plan, changes))).rejects.toMatchObject({
      code: 'TARGET_REFUSED',
      details: { outcome: 'none', sqlState },
    });
    expect(await countOf('plain')).toBe(20);
  });

  test('of another version is refused', async () => {
    const { statement } = target.borrow(await target.plan(plainInput));
    const other = statement.replace('"version":1', '"version":2');
    const { gateKey, credentialsKey } = target.install;
    await expect(
      perform({
        statement: other,
        gateMac: macOf(gateKey, other),
        credentialsMac: macOf(credentialsKey, other),
      }),
    ).rejects.toMatchObject({ code: 'TARGET_REFUSED', details: { sqlState: 'ZF002' } });
  });

  test('is refused in a session without a bound on its time, or with another isolation', async () => {
    const { statement, gateMac, credentialsMac } = target.borrow(await target.plan(plainInput));
    const call = 'select firebreak.perform($1, $2, $3)';
    await withClient(target.executorUrl, async (client) => {
      for (const setting of ['set statement_timeout = 0', `set statement_timeout = '1h'`]) {
        await client.query(setting);
        await expect(client.query(call, [statement, gateMac, credentialsMac])).rejects.toMatchObject({
          code: 'ZF008',
        });
      }
      await client.query(`set statement_timeout = '5s'; begin isolation level repeatable read`);
      await expect(client.query(call, [statement, gateMac, credentialsMac])).rejects.toMatchObject({
        code: 'ZF008',
      });
    });
  });

  test('means the same in a session with hostile settings', async () => {
    const { statement, gateMac, credentialsMac } = target.borrow(await target.plan(plainInput));
    const answer = await withClient(target.executorUrl, async (client) => {
      await client.query(`set search_path = pg_temp, public; set TimeZone = 'Asia/Tokyo'; set extra_float_digits = -15;
        set bytea_output = 'escape'; set DateStyle = 'SQL, DMY'; set transform_null_equals = on`);
      return client.query('select firebreak.perform($1, $2, $3) as result', [
        statement,
        gateMac,
        credentialsMac,
      ]);
    });
    expect(answer.rows).toEqual([{ result: { counts: { rows: 5 }, repeated: false } }]);
  });
});
