import { OWN_SCHEMAS } from './introspect.ts';
import {
  EXECUTOR_CONNECTIONS_MAX,
  PLANNER_CONNECTIONS_MAX,
  TARGET_LOCK_TIMEOUT_MS,
  TARGET_STATEMENT_TIMEOUT_MS,
} from './limits.ts';
import { quoteIdentifier, quoteLiteral } from './names.ts';
import { READER_STATEMENT_TIMEOUT_MS } from './reader.ts';

/** The statements that install and uninstall, as text; `install-target.ts` runs or prints them in order. */
export type ScriptNames = {
  planner: string;
  executor: string;
  /** `schema.table`, or every table that the installing login may grant. */
  tables: readonly string[] | 'all';
  publicTemporary: 'revoke' | 'keep';
};

/** Holds the keys and the record, and has no right on a table of the application. */
export const OWNER = 'firebreak_target_owner';
/** Changes the application's rows, and with it whatever triggers do: it must not reach keys, record or functions. */
export const HANDS = 'firebreak_target_hands';
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 5_000;

/** A role that is not marked like this is somebody else's: never altered, never dropped. */
const mark = (part: 'owner' | 'hands' | 'planner' | 'executor'): string => `Firebreak target: ${part}`;

const APPLICATION_TABLES = `
  select c.oid, c.relkind, n.nspname, c.relname, format('%I.%I', n.nspname, c.relname) as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and c.relpersistence <> 't' and n.nspname !~ '^pg_'
      and n.nspname not in ('information_schema', ${OWN_SCHEMAS})`;

/** Roles, schemas and pgcrypto; run by the installing login. */
export function preparationSql({ planner, executor }: ScriptNames): string {
  return [
    'set local search_path = pg_catalog',
    serverCheckSql,
    roleSql(OWNER, mark('owner'), 'nologin noinherit'),
    roleSql(HANDS, mark('hands'), 'nologin noinherit'),
    roleSql(planner, mark('planner'), `login noinherit connection limit ${PLANNER_CONNECTIONS_MAX}`),
    roleSql(executor, mark('executor'), `login noinherit connection limit ${EXECUTOR_CONNECTIONS_MAX}`),
    ...loginSettings(planner, [
      'default_transaction_read_only = on',
      `statement_timeout = ${READER_STATEMENT_TIMEOUT_MS}`,
    ]),
    ...loginSettings(executor, [`statement_timeout = ${TARGET_STATEMENT_TIMEOUT_MS}`]),
    becomeMembersSql,
    `create schema if not exists firebreak authorization ${OWNER}`,
    `create schema if not exists firebreak_hands authorization ${OWNER}`,
    `do $do$ begin
  if not exists (select from pg_extension where extname = 'pgcrypto') then
    create schema if not exists firebreak_crypto;
    create extension pgcrypto with schema firebreak_crypto;
  end if;
  if not has_schema_privilege('${OWNER}', (select extnamespace from pg_extension where extname = 'pgcrypto'), 'usage')
  then
    execute format('grant usage on schema %I to ${OWNER}',
      (select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace
        where e.extname = 'pgcrypto'));
  end if;
end $do$`,
  ].join(';\n');
}

const serverCheckSql = `do $do$ begin
  if current_setting('server_version_num')::int < 150000 then
    raise exception 'expected PostgreSQL 15 or newer, got %', current_setting('server_version');
  end if;
  if current_setting('server_encoding') <> 'UTF8' then
    raise exception 'expected a database in UTF8, got %', current_setting('server_encoding');
  end if;
end $do$`;

function roleSql(name: string, comment: string, attributes: string): string {
  const [identifier, literal] = [quoteIdentifier(name), quoteLiteral(name)];
  return `do $do$ declare
  found oid := (select oid from pg_roles where rolname = ${literal});
begin
  if found is null then
    create role ${identifier};
    comment on role ${identifier} is ${quoteLiteral(comment)};
  elsif shobj_description(found, 'pg_authid') is distinct from ${quoteLiteral(comment)} then
    raise exception 'role % exists and was not made by Firebreak', ${literal};
  elsif exists (select from pg_auth_members where member = found) then
    raise exception 'role % is a member of another role', ${literal};
  end if;
end $do$;
alter role ${identifier} ${attributes}`;
}

function loginSettings(name: string, settings: readonly string[]): string[] {
  return [
    'search_path = pg_catalog',
    `lock_timeout = ${TARGET_LOCK_TIMEOUT_MS}`,
    `idle_in_transaction_session_timeout = ${IDLE_IN_TRANSACTION_TIMEOUT_MS}`,
    ...settings,
  ].map((setting) => `alter role ${quoteIdentifier(name)} set ${setting}`);
}

/** Who is no superuser needs the memberships for as long as it makes what these two own. */
const becomeMembersSql = membershipSql('grant %I to current_user');

export const leaveMembersSql = membershipSql('revoke %I from current_user');

function membershipSql(change: string): string {
  return `do $do$
declare ours name;
begin
  if not (select rolsuper from pg_roles where rolname = current_user) then
    for ours in select rolname from pg_roles where rolname in ('${OWNER}', '${HANDS}') loop
      execute format('${change}', ours);
    end loop;
  end if;
end $do$`;
}

/** `$1` target, `$2` and `$3` the keys in hex; run as the owner, before PUBLIC loses TEMPORARY. */
export function keysSql({ publicTemporary }: ScriptNames): string {
  const revokes = publicTemporary === 'revoke' ? publicHasTemporarySql : 'false';
  return `insert into firebreak.keys as k (target, gate_key, credentials_key, public_temporary_revoked)
  values ($1, decode($2, 'hex'), decode($3, 'hex'), ${revokes})
  on conflict (single) do update set target = excluded.target, gate_key = excluded.gate_key,
    credentials_key = excluded.credentials_key,
    public_temporary_revoked = k.public_temporary_revoked or excluded.public_temporary_revoked`;
}

const publicHasTemporarySql = `exists (
    select from pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) as a
      where d.datname = current_database() and a.grantee = 0 and a.privilege_type = 'TEMPORARY')`;

/** Every right that the three roles have, no more and no less: earlier ones are taken back first. */
export function rightsSql(names: ScriptNames): string {
  const { planner, executor } = {
    planner: quoteIdentifier(names.planner),
    executor: quoteIdentifier(names.executor),
  };
  return [
    takeRightsSql(names),
    tableRightsSql(names),
    `grant usage on schema firebreak to ${executor}, ${planner}`,
    `grant execute on function firebreak.perform(text, text, text) to ${executor}`,
    `grant execute on function firebreak.kept_rows(text) to ${planner}`,
    `do $do$ begin
  execute format('grant connect on database %I to ${planner}, ${executor}', current_database());
  ${
    names.publicTemporary === 'revoke'
      ? "execute format('revoke temporary on database %I from public', current_database());"
      : '-- TEMPORARY stays with PUBLIC, as asked.'
  }
end $do$`,
  ].join(';\n');
}

function tableRightsSql({ planner, tables }: ScriptNames): string {
  const wanted = tables === 'all' ? 'null' : `array[${tables.map(quoteLiteral).join(', ')}]`;
  const login = quoteIdentifier(planner);
  return `do $do$
declare
  wanted text[] := ${wanted};
  item record;
  key_column name;
begin
  for item in
    select t.* from (${APPLICATION_TABLES}) as t join pg_class c on c.oid = t.oid
      where case when wanted is null then pg_has_role(c.relowner, 'usage')
        else format('%s.%s', t.nspname, t.relname) = any (wanted) end
  loop
    wanted := array_remove(wanted, format('%s.%s', item.nspname, item.relname));
    execute format('grant usage on schema %I to ${HANDS}, ${login}', item.nspname);
    -- Also where no row can be named: whether any refers to one that goes must be seen.
    execute format('grant select on %s to ${HANDS}, ${login}', item.name);
    select a.attname into key_column from pg_index i
      join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
      where i.indrelid = item.oid and i.indisprimary and item.relkind = 'r';
    if found then
      -- UPDATE of one column is what a row lock asks for; no statement of Firebreak updates an application's row.
      execute format('grant delete, insert, update (%I) on %s to ${HANDS}', key_column, item.name);
    end if;
  end loop;
  if cardinality(wanted) > 0 then raise exception 'there is no table %', array_to_string(wanted, ', '); end if;
end $do$`;
}

function takeRightsSql({ planner, executor }: Pick<ScriptNames, 'planner' | 'executor'>): string {
  return `do $do$
declare
  ours text := (select string_agg(quote_ident(rolname), ', ') from pg_roles
    where rolname in ('${OWNER}', '${HANDS}', ${quoteLiteral(planner)}, ${quoteLiteral(executor)}));
  item record;
begin
  if ours is null then return; end if;
  for item in select t.* from (${APPLICATION_TABLES}) as t join pg_class c on c.oid = t.oid
    where pg_has_role(c.relowner, 'usage')
  loop
    execute format('revoke all on %s from %s', item.name, ours);
  end loop;
  for item in select nspname from pg_namespace
    where nspname !~ '^pg_' and nspname not in ('information_schema', ${OWN_SCHEMAS})
      and pg_has_role(nspowner, 'usage')
  loop
    execute format('revoke all on schema %I from %s', item.nspname, ours);
  end loop;
  execute format('revoke all on database %I from %s', current_database(), ours);
end $do$`;
}

/** Takes everything away that installing made, the kept undo rows too. */
export function removalSql(names: Pick<ScriptNames, 'planner' | 'executor'>): string {
  return [
    'set local search_path = pg_catalog',
    becomeMembersSql,
    `do $do$ declare revoked boolean; begin
  if to_regclass('firebreak.keys') is not null then
    select public_temporary_revoked into revoked from firebreak.keys;
    if revoked then execute format('grant temporary on database %I to public', current_database()); end if;
  end if;
end $do$`,
    'drop schema if exists firebreak_hands cascade',
    'drop schema if exists firebreak cascade',
    `do $do$ begin
  if exists (select from pg_extension e join pg_namespace n on n.oid = e.extnamespace
    where e.extname = 'pgcrypto' and n.nspname = 'firebreak_crypto')
  then
    drop extension pgcrypto;
  end if;
  drop schema if exists firebreak_crypto;
end $do$`,
    takeRightsSql(names),
    dropRoleSql(names.planner, mark('planner')),
    dropRoleSql(names.executor, mark('executor')),
    dropRoleSql(HANDS, mark('hands')),
    dropRoleSql(OWNER, mark('owner')),
    leaveMembersSql,
  ].join(';\n');
}

/** Roles belong to the whole server: one that another database of it still uses stays. */
function dropRoleSql(name: string, comment: string): string {
  const literal = quoteLiteral(name);
  return `do $do$ begin
  if exists (select from pg_roles where rolname = ${literal}
    and shobj_description(oid, 'pg_authid') = ${quoteLiteral(comment)})
  then
    drop role ${quoteIdentifier(name)};
  end if;
exception when dependent_objects_still_exist then
  raise notice 'role % is still used by another database', ${literal};
end $do$`;
}

/** What PUBLIC has, the executor has too: each line is power that installing could not take away. */
export const leftoversSql = `
  select format('the executor may read or write %s through PUBLIC', t.name) as warning
    from (${APPLICATION_TABLES}) as t
    where has_schema_privilege($1, t.nspname, 'usage')
      and (has_table_privilege($1, t.oid, 'select, insert, update, delete, truncate')
        or has_any_column_privilege($1, t.oid, 'select, insert, update'))
  union all
  select format('the executor may call %s, which runs with its owner''s rights', p.oid::regprocedure)
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where p.prosecdef and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'firebreak')
      and has_schema_privilege($1, n.oid, 'usage') and has_function_privilege($1, p.oid, 'execute')
  union all
  select format('the executor may create things in schema %I through PUBLIC', n.nspname)
    from pg_namespace n where n.nspname !~ '^pg_' and has_schema_privilege($1, n.oid, 'create')
  union all
  select 'the executor may create temporary tables through PUBLIC'
    where has_database_privilege($1, current_database(), 'temporary')
  union all
  select format('the executor may connect to database %I of the same server through PUBLIC', d.datname)
    from pg_database d where d.datallowconn and d.datname not in (current_database(), 'template1')
      and has_database_privilege($1, d.oid, 'connect')
  limit 100`;
