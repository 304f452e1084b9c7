-- What Firebreak keeps in a target database. Created as firebreak_target_owner by install-target.ts, which
-- fills the names in double braces. Two MACs over a statement are the only power here, and each is good for
-- exactly one effect. Every refusal has an SQLSTATE of class ZF, which perform.ts maps to a code.

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
  undo_schema text,
  undo_table text,
  undo_columns text[],
  undo_rows text[],
  -- Keys and hashes of these rows in the same order: what may be shown of them.
  undo_items jsonb,
  restored_at timestamptz
);
alter table firebreak.effects add column if not exists undo_items jsonb;

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

-- Equality of the row t with the key of a planned item, and the names of the key's columns.
create or replace function firebreak.key_match(relation oid, out condition text, out names text[])
language sql stable as $body$
  select string_agg(
      format('t.%I = (p.item -> ''key'' ->> %L)::%s', a.attname, a.attname,
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
