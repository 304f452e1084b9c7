import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { planBodySchema } from '../../../src/action/define.ts';
import { canonicalText } from '../../../src/canonical.ts';
import { openTestTarget, type TestTarget } from '../../postgres/test-target.ts';
import { effect as deletion } from '../postgres.rows.delete/effect.ts';
import { definition } from './definition.ts';
import { effect } from './effect.ts';

const SECRET = 'a secret of a row';
let target: TestTarget;
beforeAll(async () => {
  target = await openTestTarget(`create type mood as enum ('calm', 'cross');
    create table plain (id int primary key, t text, feels mood);
    create function f() returns trigger language plpgsql as 'begin return new; end'`);
});
afterAll(() => target.stop());

let request = 0;
let requestId: string;
beforeEach(async () => {
  requestId = `req_${String((request += 1)).padStart(22, '0')}`;
  await target.admin.query(`truncate plain;
    insert into plain select n, '${SECRET} ' || n, 'cross' from generate_series(1, 9) n`);
  const where = { column: 'id', op: 'le', value: 3 };
  const plan = await target.plan({ database: 'shop', table: 'plain', where, limit: 10 });
  await deletion.perform(target.borrow(plan, { effectKey: requestId }), target.executorUrl);
});

const plan = (id = requestId) => target.plan({ database: 'shop', requestId: id }, definition);
const perform = (credential: Parameters<typeof effect.perform>[0]) =>
  effect.perform(credential, target.executorUrl);
const contents = async () =>
  (await target.admin.query('select * from plain order by id')).rows.map(({ id, t }) => `${id} ${t}`);
const WHOLE = Array.from({ length: 9 }, (_, at) => `${at + 1} ${SECRET} ${at + 1}`);

describe('a plan to restore', () => {
  test('shows what would come back by key and hash, and no content', async () => {
    const body = planBodySchema.parse(await plan());
    expect(body).toMatchObject({
      counts: { rows: 3 },
      undo: 'none',
      effects: { operation: 'restore', schema: 'public', table: 'plain', restores: requestId },
    });
    expect(body.summary.map(({ label, value }) => [label, value])).toEqual([
      ['Rows to put back', '3'],
      ['Table', 'public.plain'],
      ['First keys', 'id="1"; id="2"; id="3"'],
      ['Fingerprint', expect.stringMatching(/^[\w-]{43}$/)],
      ['Besides', 'nothing else changes'],
      ['Undo', expect.stringContaining('none kept')],
    ]);
    expect(canonicalText(body)).not.toContain(SECRET);
    expect(canonicalText(await plan())).toBe(canonicalText(body));
  });

  test('says which triggers putting back would fire', async () => {
    await target.admin.query('create trigger stamp before insert on plain for each row execute function f()');
    expect((await plan()).summary).toContainEqual({
      label: 'Besides',
      value: 'putting them back fires "stamp" of public.plain',
    });
    await target.admin.query('drop trigger stamp on plain');
  });

  test('of a request that deleted nothing here is refused', async () => {
    await expect(plan(`req_${'A'.repeat(22)}`)).rejects.toMatchObject({ code: 'NOTHING_KEPT' });
  });

  test('after the rows were put back is refused', async () => {
    await perform(target.borrow(await plan()));
    await expect(plan()).rejects.toMatchObject({ code: 'ALREADY_RESTORED' });
  });

  test('after the columns changed is refused, and made again when they are as before', async () => {
    await target.admin.query('alter table plain add column more text');
    await expect(plan()).rejects.toMatchObject({ code: 'PLAN_UNSUPPORTED' });
    await target.admin.query('alter table plain drop column more');
    await expect(plan()).resolves.toMatchObject({ counts: { rows: 3 } });
  });

  test.each([
    ['no request', { database: 'shop' }],
    ['SQL for a request', { database: 'shop', requestId: "req_' or true --" }],
    ['an unknown member', { database: 'shop', requestId: `req_${'A'.repeat(22)}`, table: 'plain' }],
  ])('with %s is refused', (_, input) => {
    expect(definition.input.safeParse(input).success).toBe(false);
  });
});

describe('a restore', () => {
  test('puts back exactly what was deleted, under its own effect key', async () => {
    expect(await contents()).toEqual(WHOLE.slice(3));
    await expect(perform(target.borrow(await plan(), { effectKey: 'undo' }))).resolves.toEqual({
      counts: { rows: 3 },
      repeated: false,
    });
    expect(await contents()).toEqual(WHOLE);
    const { rows } = await target.admin.query(
      `select counts from firebreak.effects where effect_key = 'undo'`,
    );
    expect(rows).toEqual([{ counts: { rows: 3 } }]);
  });

  test('is repeated by the same statement, and refused by another one', async () => {
    const body = await plan();
    const credential = target.borrow(body);
    await perform(credential);
    await expect(perform(credential)).resolves.toEqual({ counts: { rows: 3 }, repeated: true });
    await expect(perform(target.borrow(body))).rejects.toMatchObject({ code: 'ALREADY_RESTORED' });
    expect(await contents()).toEqual(WHOLE);
  });

  test('of two at once is done by exactly one', async () => {
    const body = await plan();
    const answers = await Promise.allSettled([1, 2, 3].map(() => perform(target.borrow(body))));
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await contents()).toEqual(WHOLE);
  });

  test('of other rows than the kept ones is refused', async () => {
    const { effects } = await plan();
    const { rows } = JSON.parse(canonicalText(effects));
    const fewer = target.borrow({ effects: { ...Object(effects), rows: rows.slice(1) } });
    await expect(perform(fewer)).rejects.toMatchObject({ code: 'ROWS_CHANGED' });
    const elsewhere = target.borrow({ effects: { ...Object(effects), table: 'other' } });
    await expect(perform(elsewhere)).rejects.toMatchObject({ code: 'ROWS_CHANGED' });
    const nothing = target.borrow({ effects: { ...Object(effects), restores: 'never' } });
    await expect(perform(nothing)).rejects.toMatchObject({ code: 'NOTHING_KEPT' });
    expect(await contents()).toEqual(WHOLE.slice(3));
  });

  test.each(['gateMac', 'credentialsMac'] as const)('without its own %s is refused', async (part) => {
    const credential = target.borrow(await plan());
    const others = target.borrow(await plan());
    await expect(perform({ ...credential, [part]: others[part] })).rejects.toMatchObject({
      code: 'MAC_INVALID',
    });
    expect(await contents()).toEqual(WHOLE.slice(3));
  });

  test('over a row that is there again is refused, and can be done later', async () => {
    const credential = target.borrow(await plan());
    await target.admin.query(`insert into plain values (2, 'new', null)`);
    await expect(perform(credential)).rejects.toMatchObject({
      code: 'TARGET_REFUSED',
      message: 'the target refused with SQLSTATE 23505 by plain_pkey',
    });
    await target.admin.query('delete from plain where id = 2');
    await perform(credential);
    expect(await contents()).toEqual(WHOLE);
  });

  test('that fails on a value says nothing of the value', async () => {
    const credential = target.borrow(await plan());
    await target.admin.query(`alter type mood rename value 'cross' to 'angry'`);
    const refused = await perform(credential).catch((error: unknown) => error);
    await target.admin.query(`alter type mood rename value 'angry' to 'cross'`);
    expect(refused).toMatchObject({ code: 'TARGET_REFUSED', details: { sqlState: '22P02' } });
    expect(String(refused)).not.toContain('cross');
  });
});
