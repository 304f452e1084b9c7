-- What Firebreak keeps in a target database. Created as firebreak_target_owner by install-target.ts, which
-- fills the names in double braces. Two MACs over a statement are the only power here, and each is good for
-- exactly one effect. Every refusal has an SQLSTATE of class ZF, which perform.ts maps to a code.
-- The owner holds the keys and has no right on any table of the application; firebreak_target_hands, as which the
-- functions of firebreak_hands run, has those rights and nothing else, because triggers run there too.

create table if not exists firebreak.keys (
  single boolean primary key default true check (single),
  target text not null,
  gate_key bytea not null check (octet_length(gate_key) >= 32),
  credentials_key bytea not null check (octet_length(credentials_key) >= 32),
  public_temporary_revoked boolean not null,
  check (gate_key <> credentials_key)
);

-- The target's own witness: one row an effect, with what it took away.
create table if not exists firebreak.effects (
  effect_key text primary key,
  fence integer not null,
  digest text not null,
  statement_hash text not null,
  applied_at timestamptz not null default clock_timestamp(),
  applied_by text not null default session_user,
  counts jsonb,
  restored_at timestamptz
);

-- The rows that an effect took away, table by table: 0 is the table that it named, the others went with it.
create table if not exists firebreak.kept (
  effect_key text not null references firebreak.effects,
  place integer not null,
  schema_name text not null,
  table_name text not null,
  columns text[] not null,
  rows text[] not null,
  -- Keys and hashes of these rows in the same order: what may be shown of them.
  items jsonb,
  primary key (effect_key, place)
);
do $do$ begin
  if exists (select from pg_catalog.pg_attribute a
    where a.attrelid = 'firebreak.effects'::pg_catalog.regclass and a.attname = 'undo_rows' and not a.attisdropped)
  then
    alter table firebreak.effects add column if not exists undo_items jsonb;
    insert into firebreak.kept
      select effect_key, 0, undo_schema, undo_table, undo_columns, undo_rows, undo_items
        from firebreak.effects where undo_rows is not null;
    alter table firebreak.effects drop column undo_schema, drop column undo_table, drop column undo_columns,
      drop column undo_rows, drop column undo_items;
  end if;
end $do$;
-- Functions whose form has changed since an earlier version.
drop function if exists firebreak.restore_rows(text);
drop function if exists firebreak.read_rows(jsonb);
drop function if exists firebreak.key_match(oid);

create or replace function firebreak.refuse(state text, sentence text) returns void
language plpgsql as $body$
begin
  raise exception using errcode = state, message = sentence;
end
$body$;

-- pgcrypto stands where this database has it; call it by its full name, whatever that is.
do $do$
declare
  crypto name := (select n.nspname from pg_catalog.pg_extension e
    join pg_catalog.pg_namespace n on n.oid = e.extnamespace where e.extname = 'pgcrypto');
begin
  execute pg_catalog.format($create$
    create or replace function firebreak.hmac_sha256(message bytea, key bytea) returns bytea
      language sql immutable as 'select %1$I.hmac($1, $2, ''sha256''::text)';
    create or replace function firebreak.random_bytes() returns bytea
      language sql volatile as 'select %1$I.gen_random_bytes(32)'
    $create$, crypto);
end
$do$;

-- Why no row of a table can be named exactly; and, in the other one, what a change of its rows would do besides.
create or replace function firebreak.form_hazards(relation oid) returns setof text
language sql stable as $body${{form_hazards}}$body$;

create or replace function firebreak.hazards(relation oid) returns setof text
language sql stable as $body${{form_hazards}}
    union all{{change_hazards}}$body$;

-- Foreign keys onto a table, and the triggers that deleting or inserting its rows fires.
create or replace function firebreak.references_of(relation oid)
returns table (name text, child oid, "schema" text, "table" text, on_delete text, readable boolean, condition text)
language sql stable as $body${{references}}$body$;

create or replace function firebreak.delete_triggers(relation oid)
returns table (id text, "schema" text, "table" text, name text, per_row boolean, conditional boolean)
language sql stable as $body${{delete_triggers}}$body$;

create or replace function firebreak.insert_triggers(relation oid)
returns table (id text, "schema" text, "table" text, name text, per_row boolean, conditional boolean)
language sql stable as $body${{insert_triggers}}$body$;

create or replace function firebreak.base_type(type oid) returns oid
language sql stable as $body$select {{base_type}}$body$;

-- Both sides are keyed again with a fresh random key, so that the time of the comparison says nothing.
create or replace function firebreak.mac_matches(message bytea, mac text, key bytea) returns boolean
language plpgsql as $body$
declare
  blind bytea := firebreak.random_bytes();
begin
  -- 43 characters of base64url are 32 bytes.
  if mac is null or mac !~ '^[A-Za-z0-9_-]{43}$' then return false; end if;
  return firebreak.hmac_sha256(firebreak.hmac_sha256(message, key), blind)
    = firebreak.hmac_sha256(decode(translate(mac, '-_', '+/') || '=', 'base64'), blind);
end
$body$;

create or replace function firebreak.column_list(relation oid) returns text[]
language sql stable as $body$
  select array_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)) order by a.attnum)
    from pg_attribute a where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
$body$;

-- Equality of a row with the key of the planned item p, and the names of the key's columns.
create or replace function firebreak.key_match(
  relation oid, row_name text, out condition text, out names text[])
language sql stable as $body$
  select string_agg(
      format('%I.%I = (p.item -> ''key'' ->> %L)::%s', row_name, a.attname, a.attname,
        format_type(firebreak.base_type(a.atttypid), -1)),
      ' and ' order by a.attnum),
    array_agg(a.attname::text order by a.attnum)
    from pg_index i
    cross join lateral unnest(i.indkey::int2[]) with ordinality as k (attnum, position)
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
    where i.indrelid = relation and i.indisprimary and k.position <= i.indnkeyatts
$body$;

-- The table under a lock that keeps triggers, rules, keys and columns as they are until the end.
create or replace function firebreak.lock_table(schema_name text, table_name text) returns oid
language plpgsql as $body$
declare
  name text := format('%I.%I', schema_name, table_name);
  relation oid;
  hazard text;
begin
  if to_regclass(name) is null then
    perform firebreak.refuse('ZF007', format('%s does not exist', name));
  end if;
  execute format('lock table only %s in row exclusive mode', name);
  relation := to_regclass(name);
  select string_agg(h.sentence, '; ') into hazard from firebreak.hazards(relation) as h (sentence);
  if relation is null or hazard is not null then
    perform firebreak.refuse('ZF007', format('%s cannot be changed exactly: %s', name,
      coalesce(hazard, 'it does not exist')));
  end if;
  return relation;
end
$body$;

-- Every table of a statement, under its lock and once; its items have the form that its key asks for.
create or replace function firebreak.lock_tables(tables jsonb) returns oid[]
language plpgsql as $body$
declare
  relations oid[] := '{}';
  relation oid;
begin
  for place in 0 .. jsonb_array_length(tables) - 1 loop
    relation := firebreak.lock_table(tables -> place ->> 'schema', tables -> place ->> 'table');
    if relation = any (relations) then
      perform firebreak.refuse('ZF002', format('%s stands twice in the statement', relation::regclass));
    end if;
    perform firebreak.check_items(tables -> place -> 'rows', (firebreak.key_match(relation, 't')).names);
    relations := relations || relation;
  end loop;
  return relations;
end
$body$;

create or replace function firebreak.check_items(items jsonb, key_names text[]) returns void
language plpgsql as $body$
begin
  if exists (
    select from jsonb_array_elements(items) as p (item)
      where p.item - '{key,hash}'::text[] <> '{}'
        or coalesce(p.item ->> 'hash', '') !~ '^[0-9a-f]{64}$'
        or jsonb_typeof(p.item -> 'key') is distinct from 'object'
        or not (p.item -> 'key') ?& key_names
        or (p.item -> 'key') - key_names <> '{}'
        or exists (select from jsonb_each(p.item -> 'key') as m where jsonb_typeof(m.value) <> 'string'))
  then
    perform firebreak.refuse('ZF002', 'a planned row has a form that this target does not know');
  end if;
end
$body$;

-- What fires is what people were told fires: one that appeared or went away is another act.
create or replace function firebreak.check_triggers(firing text[], planned jsonb) returns void
language plpgsql as $body$
begin
  if (select array_agg(f.id order by f.id collate "C") from (select distinct unnest(firing)) as f (id))
    is distinct from
    (select array_agg(p.id order by p.id collate "C") from jsonb_array_elements_text(planned) as p (id))
  then
    perform firebreak.refuse('ZF007', format('other triggers fire than the planned ones: %s',
      coalesce(nullif(array_to_string(firing, ', '), ''), 'none')));
  end if;
end
$body$;

-- Each column once, under its own name. Numbers that JSON may round and all that has no JSON of its own go as text.
create or replace function firebreak.result_columns(relation oid, columns jsonb) returns text
language plpgsql stable as $body$
declare
  expressions text;
  asked bigint;
  known bigint;
begin
  if jsonb_typeof(columns) is distinct from 'array' or jsonb_array_length(columns) = 0
    or exists (select from jsonb_array_elements(columns) as c where jsonb_typeof(c.value) <> 'string')
  then
    perform firebreak.refuse('ZF002', 'the columns have a form that this target does not know');
  end if;
  select count(*), count(distinct a.attnum),
      string_agg(format(case when firebreak.base_type(a.atttypid) in ('int2'::regtype, 'int4'::regtype, 'bool'::regtype)
        then 't.%1$I as %1$I' else 't.%1$I::text as %1$I' end, a.attname), ', ') filter (where a.attnum is not null)
    into asked, known, expressions
    from jsonb_array_elements_text(columns) as c (name)
    left join pg_attribute a
      on a.attrelid = relation and a.attname = c.name and a.attnum > 0 and not a.attisdropped;
  if asked <> known then
    perform firebreak.refuse('ZF006', 'a column that was planned is not there, or stands twice');
  end if;
  return expressions;
end
$body$;
