-- What Firebreak keeps in a target database. Created as firebreak_target_owner by install-target.ts, which
-- fills the names in double braces. Two MACs over a statement are the only power here, and each is good for
-- exactly one effect. Every refusal has an SQLSTATE of class ZF, which effect.ts maps to a code.

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
  restored_at timestamptz
);

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

create or replace function firebreak.hazards(relation oid) returns setof text
language sql stable as $body${{hazards}}$body$;

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

-- The members of a statement and their forms: what is not known is refused, never skipped.
create or replace function firebreak.read_statement(statement text, target text) returns jsonb
language plpgsql as $body$
declare
  asked jsonb := statement::jsonb;
  effects jsonb := asked -> 'effects';
begin
  if asked - '{version,target,digest,effectKey,fence,notAfter,effects}'::text[] <> '{}'
    or effects - '{kind,operation,schema,table,rows}'::text[] <> '{}'
    or asked -> 'version' is distinct from '1'
    or jsonb_typeof(asked -> 'fence') is distinct from 'number'
    or asked ->> 'fence' !~ '^[1-9][0-9]{0,8}$'
    or jsonb_typeof(asked -> 'effectKey') is distinct from 'string'
    or length(asked ->> 'effectKey') not between 1 and 200
    or jsonb_typeof(asked -> 'digest') is distinct from 'string'
    or length(asked ->> 'digest') not between 1 and 200
    or coalesce(asked ->> 'notAfter', '') !~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$'
    or effects ->> 'kind' is distinct from 'postgres.rows'
    or effects ->> 'operation' is distinct from 'delete'
    or jsonb_typeof(effects -> 'schema') is distinct from 'string'
    or jsonb_typeof(effects -> 'table') is distinct from 'string'
    or jsonb_typeof(effects -> 'rows') is distinct from 'array'
    or jsonb_array_length(effects -> 'rows') > {{rows_max}}
  then
    perform firebreak.refuse('ZF002', 'the statement has a form that this target does not know');
  end if;
  if asked ->> 'target' is distinct from target then
    perform firebreak.refuse('ZF003', 'the statement is for another target');
  end if;
  return asked;
end
$body$;

-- The caller's session decides isolation and timeouts: assert what the rest of the function builds on.
create or replace function firebreak.check_session() returns void
language plpgsql as $body$
declare
  bound interval := current_setting('statement_timeout')::interval;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    perform firebreak.refuse('ZF008', 'the transaction must be read committed');
  end if;
  if bound = interval '0' or bound > interval '{{statement_timeout_ms}} ms' then
    perform firebreak.refuse('ZF008', 'statement_timeout must be set, to {{statement_timeout_ms}} ms at most');
  end if;
  -- An answer that a crash of this server could take back would be no answer.
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'on', true);
  end if;
end
$body$;

-- Null when this call is the one that does it; the counts when this very statement was done before. The
-- unique key makes a concurrent call wait for the outcome of the first.
create or replace function firebreak.claim_effect(asked jsonb, hash text) returns jsonb
language plpgsql as $body$
declare
  earlier firebreak.effects;
begin
  insert into firebreak.effects (effect_key, fence, digest, statement_hash)
    values (asked ->> 'effectKey', (asked ->> 'fence')::integer, asked ->> 'digest', hash)
    on conflict (effect_key) do nothing;
  if found then return null; end if;
  select e.* into strict earlier from firebreak.effects e where e.effect_key = asked ->> 'effectKey';
  if earlier.statement_hash <> hash then
    perform firebreak.refuse('ZF005', 'another statement was already applied under this effect key');
  end if;
  return earlier.counts;
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

-- Locks, compares, keeps and deletes exactly the planned rows; any difference ends the transaction.
create or replace function firebreak.delete_rows(effect text, effects jsonb) returns jsonb
language plpgsql as $body$
declare
  items jsonb := effects -> 'rows';
  planned bigint := jsonb_array_length(items);
  relation oid := firebreak.lock_table(effects ->> 'schema', effects ->> 'table');
  name text := format('%I.%I', effects ->> 'schema', effects ->> 'table');
  match record;
  seen bigint;
  same bigint;
  kept text[];
  deleted bigint;
begin
  match := firebreak.key_match(relation);
  perform firebreak.check_items(items, match.names);
  execute format($query$
    select count(*), count(*) filter (where now.hash = now.planned),
        coalesce(array_agg(now.content order by now.position), '{}')
      from (
        select p.position, p.item ->> 'hash' as planned, {{row_hash}} as hash, (t.*)::text as content
          from jsonb_array_elements($1) with ordinality as p (item, position)
          join only %s as t on %s
          order by p.position
          for update of t) as now
    $query$, name, match.condition)
    into seen, same, kept using items;
  if seen <> planned or same <> planned then
    perform firebreak.refuse('ZF006',
      format('%s rows were planned, %s are there, %s unchanged', planned, seen, same));
  end if;
  execute format(
    'delete from only %s as t using jsonb_array_elements($1) as p (item) where %s', name, match.condition)
    using items;
  get diagnostics deleted = row_count;
  if deleted <> planned then
    perform firebreak.refuse('ZF006', format('%s rows were planned, %s would be deleted', planned, deleted));
  end if;
  -- A deferred foreign key answers here and not at the caller's commit.
  set constraints all immediate;
  update firebreak.effects e
    set counts = jsonb_build_object('rows', planned), undo_schema = effects ->> 'schema',
      undo_table = effects ->> 'table', undo_columns = firebreak.column_list(relation), undo_rows = kept
    where e.effect_key = effect;
  return jsonb_build_object('rows', planned);
end
$body$;

-- The one door: safe to repeat, all or nothing, and good for nothing without both MACs.
create or replace function firebreak.perform(statement text, gate_mac text, credentials_mac text) returns jsonb
language plpgsql volatile security definer
{{settings}}
set lock_timeout = {{lock_timeout_ms}}
as $body$
declare
  installed firebreak.keys;
  message bytea := convert_to(statement, 'UTF8');
  asked jsonb;
  not_after timestamptz;
  counts jsonb;
begin
  select k.* into strict installed from firebreak.keys k;
  if (firebreak.mac_matches(message, gate_mac, installed.gate_key)
    and firebreak.mac_matches(message, credentials_mac, installed.credentials_key)) is not true
  then
    perform firebreak.refuse('ZF001', 'the statement does not carry both MACs of this target');
  end if;
  asked := firebreak.read_statement(statement, installed.target);
  perform firebreak.check_session();
  not_after := (asked ->> 'notAfter')::timestamptz;
  if clock_timestamp() >= not_after then
    perform firebreak.refuse('ZF004', 'the statement has expired');
  end if;
  counts := firebreak.claim_effect(asked, encode(sha256(message), 'hex'));
  if counts is not null then return jsonb_build_object('repeated', true, 'counts', counts); end if;
  counts := firebreak.delete_rows(asked ->> 'effectKey', asked -> 'effects');
  -- A caller can switch its own statement_timeout off; nobody can switch this off.
  if clock_timestamp() > not_after + interval '{{statement_timeout_ms}} ms' then
    perform firebreak.refuse('ZF004', 'the statement expired while it ran');
  end if;
  return jsonb_build_object('repeated', false, 'counts', counts);
end
$body$;
