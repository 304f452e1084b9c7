import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { installTarget, targetInstallSql, uninstallTarget } from './install-target.ts';
import { openReader } from './reader.ts';
import { openTestTarget, type TestTarget, withClient } from './test-target.ts';

const tables = `
  create schema sales;
  create table plain (id int primary key, t text);
  create table sales.named (id int primary key);
  create table nokey (id int);
  create view seen as select * from plain;
  insert into plain values (1, 'a');
`;

let target: TestTarget;
beforeAll(async () => {
  target = await openTestTarget(tables);
});
afterAll(() => target.stop());

const DENIED = { code: '42501' };

describe("the executor's login", () => {
  test.each([
    'select * from public.plain',
    'delete from public.plain',
    'select * from public.seen',
    'begin; lock table public.plain in row exclusive mode',
    'truncate public.plain',
    'select * from firebreak.keys',
    'select * from firebreak.effects',
    'delete from firebreak.effects',
    `select firebreak.restore_rows('x')`,
    `select firebreak.delete_rows('x', '{}')`,
    `select firebreak_hands.take('[]', '[]')`,
    `select firebreak_hands.put('{}', '[]')`,
    `select firebreak_hands.read_rows('{}')`,
    `select firebreak.lock_rows(0, '{}', 0)`,
    'set role firebreak_target_hands',
    `select firebreak.restore_planned('{}')`,
    `select firebreak.kept_rows('x')`,
    `select firebreak.hmac_sha256('x', 'y')`,
    `select firebreak_crypto.hmac('x', 'y', 'sha256')`,
    'set role firebreak_target_owner',
    'set role postgres',
    'set session authorization postgres',
    'set role shop_planner',
    'create table public.mine (id int)',
    'create temp table mine (id int)',
    'create schema mine',
    'create function firebreak.perform(text, text, text, int) returns int language sql as $$select 1$$',
    `alter function firebreak.perform(text, text, text) reset all`,
    'alter role shop_executor superuser',
    'grant firebreak_target_owner to shop_executor',
  ])('may not: %s', async (statement) => {
    await withClient(target.executorUrl, async (client) => {
      await expect(client.query(statement)).rejects.toMatchObject(DENIED);
    });
  });

  test('may call firebreak.perform, which asks for the MACs', async () => {
    await withClient(target.executorUrl, async (client) => {
      await expect(client.query(`select firebreak.perform('{}', 'a', 'b')`)).rejects.toMatchObject({
        code: 'ZF001',
      });
    });
  });

  test('has no other right on anything in this database', async () => {
    const found = await target.admin.query(
      `select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind in ('r', 'v', 'S')
           and has_table_privilege('shop_executor', c.oid, 'select, insert, update, delete, truncate, trigger')
       union all
       select p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
         where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
           and has_schema_privilege('shop_executor', n.oid, 'usage')
           and has_function_privilege('shop_executor', p.oid, 'execute')
       order by 1`,
    );
    expect(found.rows).toEqual([{ relname: 'perform' }]);
  });
});

describe("the planner's login", () => {
  test.each([
    'insert into public.plain values (2)',
    'update public.plain set id = 2',
    'delete from public.plain',
    'truncate public.plain',
    'select id from public.plain for update',
    'select * from public.seen',
    `select firebreak.perform('{}', 'a', 'b')`,
    'select * from firebreak.effects',
    'select * from firebreak.keys',
    `select firebreak.restore_rows('x')`,
    `select firebreak_hands.take('[]', '[]')`,
    'set role firebreak_target_owner',
    'set role firebreak_target_hands',
    'create temp table mine (id int)',
    'create table public.mine (id int)',
  ])('may not, even in a transaction that writes: %s', async (statement) => {
    await withClient(target.plannerUrl, async (client) => {
      await client.query('begin read write');
      await expect(client.query(statement)).rejects.toMatchObject(DENIED);
    });
  });

  test('may ask what is kept of one effect, and call nothing else of ours', async () => {
    await withClient(target.plannerUrl, async (client) => {
      expect((await client.query(`select firebreak.kept_rows('x') as kept`)).rows).toEqual([{ kept: null }]);
    });
    const found = await target.admin.query(
      `select p.proname from pg_proc p where p.pronamespace = 'firebreak'::regnamespace
         and has_function_privilege('shop_planner', p.oid, 'execute')
       union all
       select c.relname from pg_class c where c.relnamespace = 'firebreak'::regnamespace
         and c.relkind in ('r', 'v') and has_table_privilege('shop_planner', c.oid, 'select')`,
    );
    expect(found.rows).toEqual([{ proname: 'kept_rows' }]);
  });

  test('may select, in a transaction that is read only without being asked', async () => {
    await withClient(target.plannerUrl, async (client) => {
      expect((await client.query('select * from public.plain')).rows).toEqual([{ id: 1, t: 'a' }]);
      expect((await client.query('show transaction_read_only')).rows).toEqual([
        { transaction_read_only: 'on' },
      ]);
    });
  });

  test('reads through one snapshot that cannot be written in', async () => {
    const reader = await openReader(target.plannerUrl, 'shop');
    const before = await reader.query('select count(*)::int as n from public.plain');
    await target.admin.query(`insert into public.plain values (7, 'later')`);
    expect(await reader.query('select count(*)::int as n from public.plain')).toEqual(before);
    await expect(reader.query('set transaction read write')).rejects.toMatchObject({
      code: 'TARGET_REFUSED',
    });
    await reader.close();
    await target.admin.query('delete from public.plain where id = 7');
  });

  test('with a wrong password is told that the target cannot be read', async () => {
    const url = target.urlOf({ name: 'shop_planner', password: 'a wrong password' });
    await expect(openReader(url, 'shop')).rejects.toMatchObject({ code: 'TARGET_UNREACHABLE' });
  });
});

describe('installing', () => {
  test('again changes the rights to what is asked now, and takes earlier ones back', async () => {
    await installTarget({ ...target.install, tables: ['sales.named'] });
    await withClient(target.plannerUrl, async (client) => {
      await expect(client.query('select * from public.plain')).rejects.toMatchObject(DENIED);
      await expect(client.query('select * from sales.named')).resolves.toMatchObject({ rowCount: 0 });
    });
    await installTarget(target.install);
  });

  test.each([
    ['a table that is not there', { tables: ['missing'] }, 'SETUP_FAILED'],
    ['one key for both', { gateKey: Buffer.alloc(32), credentialsKey: Buffer.alloc(32) }, 'CONFIG_INVALID'],
    ['a short key', { gateKey: Buffer.alloc(31) }, 'CONFIG_INVALID'],
    [
      'one login for both',
      { plannerLogin: { name: 'shop_executor', password: 'x'.repeat(12) } },
      'CONFIG_INVALID',
    ],
    [
      'a login of somebody else',
      { plannerLogin: { name: 'postgres', password: 'x'.repeat(12) } },
      'SETUP_FAILED',
    ],
    ['a name that is SQL', { plannerLogin: { name: 'a"b', password: 'x'.repeat(12) } }, 'CONFIG_INVALID'],
    ['a short password', { plannerLogin: { name: 'shop_planner', password: 'short' } }, 'CONFIG_INVALID'],
  ])('with %s is refused', async (_, changes, code) => {
    await expect(installTarget({ ...target.install, ...changes })).rejects.toMatchObject({ code });
  });

  test('over an earlier version keeps the rows that were kept there', async () => {
    await target.admin.query(`drop table firebreak.kept cascade;
      alter table firebreak.effects add undo_schema text, add undo_table text, add undo_columns text[],
        add undo_rows text[], add undo_items jsonb;
      insert into firebreak.effects (effect_key, fence, digest, statement_hash, counts, undo_schema, undo_table,
          undo_columns, undo_rows, undo_items)
        values ('earlier', 1, 'd', 'h', '{"rows": 1}', 'public', 'plain', '{"id integer","t text"}', '{"(8,b)"}', '[]')`);
    await installTarget(target.install);
    await installTarget(target.install);
    await target.admin.query(`select firebreak.restore_rows('earlier')`);
    const found = await target.admin.query('delete from public.plain where id = 8 returning t');
    expect(found.rows).toEqual([{ t: 'b' }]);
  });

  test('gives the owner of the keys no right on a table, and the hands none on keys, record and functions', async () => {
    const found = await target.admin.query(
      `select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname in ('public', 'sales') and c.relkind = 'r'
           and (has_table_privilege('firebreak_target_owner', c.oid, 'select, insert, update, delete, truncate')
             or has_any_column_privilege('firebreak_target_owner', c.oid, 'update'))
       union all
       select c.relname from pg_class c where c.relnamespace = 'firebreak'::regnamespace and c.relkind = 'r'
           and has_table_privilege('firebreak_target_hands', c.oid, 'select, insert, update, delete, truncate')
       union all
       select p.proname from pg_proc p where p.pronamespace = 'firebreak'::regnamespace and p.prosecdef
           and has_function_privilege('firebreak_target_hands', p.oid, 'execute')
       union all
       select n.nspname from pg_namespace n where has_schema_privilege('firebreak_target_hands', n.oid, 'create')
       union all
       select 'firebreak_hands' where has_schema_privilege('firebreak_target_hands', 'firebreak_hands', 'usage')`,
    );
    expect(found.rows).toEqual([]);
  });

  test('says what the executor has through PUBLIC', async () => {
    await target.admin.query(`create table open (id int primary key); grant select on open to public;
      create function strong() returns int language sql security definer as 'select 1'`);
    const { warnings } = await installTarget(target.install);
    expect(warnings).toContain('the executor may read or write public.open through PUBLIC');
    expect(warnings).toContain(`the executor may call public.strong(), which runs with its owner's rights`);
    await target.admin.query('drop table open; drop function strong');
    const after = await installTarget(target.install);
    expect(after.warnings.filter((warning) => warning.includes('public.'))).toEqual([]);
  });

  test('leaves no key and no password in the text to print', () => {
    const text = targetInstallSql(target.install);
    const { gateKey, credentialsKey, plannerLogin, executorLogin } = target.install;
    for (const key of [gateKey, credentialsKey]) expect(text).not.toContain(Buffer.from(key).toString('hex'));
    for (const login of [plannerLogin, executorLogin]) expect(text).not.toContain(login.password);
    expect(text).not.toContain('{{');
  });

  test('by the printed text gives the same as by the call', async () => {
    await uninstallTarget(target.install);
    const variables: Record<string, string> = {
      target: 'shop',
      gate_key: Buffer.from(target.install.gateKey).toString('hex'),
      credentials_key: Buffer.from(target.install.credentialsKey).toString('hex'),
      planner_password: target.install.plannerLogin.password,
      executor_password: target.install.executorLogin.password,
    };
    const text = targetInstallSql(target.install).replace(
      /:'(\w+)'/g,
      (_, name: string) => `'${variables[name]}'`,
    );
    await target.admin.query(text);
    const read = withClient(target.plannerUrl, (client) => client.query('select * from public.plain'));
    await expect(read).resolves.toMatchObject({ rowCount: 1 });
    await target.admin.query('reset search_path');
  });
});

describe('uninstalling', () => {
  test('leaves the database as it was, twice', async () => {
    await uninstallTarget(target.install);
    await uninstallTarget(target.install);
    const state = await target.admin.query(
      `select (select array_agg(rolname::text) from pg_roles where rolname ~ 'firebreak|shop') as roles,
         (select array_agg(nspname::text) from pg_namespace where nspname ~ 'firebreak') as schemas,
         (select array_agg(relname::text) from pg_class where relacl::text ~ 'shop|firebreak') as rights,
         has_database_privilege('pg_monitor', 'shop', 'temporary') as temporary,
         (select array_agg(extname::text) from pg_extension where extname = 'pgcrypto') as extensions`,
    );
    expect(state.rows).toEqual([
      { roles: null, schemas: null, rights: null, temporary: true, extensions: null },
    ]);
    await expect(withClient(target.executorUrl, (client) => client.query('select 1'))).rejects.toThrow(
      /password/,
    );
  });

  test('and installing works for an owner of the database who is no superuser', async () => {
    const owner = { name: 'shop_owner', password: 'the-owner-of-a-test' };
    await target.admin.query(`create role shop_owner login createrole password '${owner.password}';
      alter database shop owner to shop_owner; alter schema sales owner to shop_owner;
      alter table plain owner to shop_owner; alter table sales.named owner to shop_owner`);
    const install = { ...target.install, adminUrl: target.urlOf(owner) };
    await installTarget(install);
    await installTarget(install);
    const planned = target.plan({
      database: 'shop',
      table: 'plain',
      where: { column: 'id', op: 'eq', value: 1 },
      limit: 5,
    });
    await expect(planned).resolves.toMatchObject({ counts: { rows: 1 } });
    const owned = await withClient(install.adminUrl, (client) =>
      client.query(`select pg_has_role('shop_owner', 'firebreak_target_owner', 'usage') as still`),
    );
    expect(owned.rows).toEqual([{ still: false }]);
    await uninstallTarget(install);
    const left = await target.admin.query(`select rolname from pg_roles where rolname ~ 'firebreak|planner'`);
    expect(left.rows).toEqual([]);
  });
});
