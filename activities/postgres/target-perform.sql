-- What a statement may say, and the one door that does it.

-- Members that effects have, all of them and no others; null for an operation that is not known.
create or replace function firebreak.members_of(operation text) returns text[]
language sql immutable as $body$
  select '{kind,operation,schema,table,rows}'::text[] || m.more
    from (values ('delete', '{cascades,triggers}'::text[]), ('read', '{columns}'),
      ('restore', '{cascades,triggers,restores}')) as m (operation, more)
    where m.operation = $1
$body$;

-- The tables of an effect, the named one first, each as {schema, table, rows}.
create or replace function firebreak.tables_of(effects jsonb) returns jsonb
language sql immutable as $body$
  select jsonb_build_array(jsonb_build_object(
      'schema', effects -> 'schema', 'table', effects -> 'table', 'rows', effects -> 'rows'))
    || coalesce(effects -> 'cascades', '[]')
$body$;

-- Whether all of them have that form and no more rows than one statement may have. Cases, because and promises no order.
create or replace function firebreak.are_tables(tables jsonb) returns boolean
language sql immutable as $body$
  select jsonb_array_length(tables) <= {{cascade_tables_max}} + 1 and case
    when exists (select from jsonb_array_elements(tables) as t (one)
      where jsonb_typeof(t.one) <> 'object' or t.one - '{schema,table,rows}'::text[] <> '{}'
        or jsonb_typeof(t.one -> 'schema') is distinct from 'string'
        or jsonb_typeof(t.one -> 'table') is distinct from 'string'
        or jsonb_typeof(t.one -> 'rows') is distinct from 'array') then false
    else (select sum(jsonb_array_length(t.one -> 'rows')) from jsonb_array_elements(tables) as t (one)) <= {{rows_max}}
  end
$body$;

-- The members of a statement and their forms: what is not known is refused, never skipped.
create or replace function firebreak.read_statement(statement text, target text) returns jsonb
language plpgsql as $body$
declare
  asked jsonb := statement::jsonb;
  effects jsonb := asked -> 'effects';
  members text[] := firebreak.members_of(effects ->> 'operation');
begin
  if asked - '{version,target,digest,effectKey,fence,notAfter,effects}'::text[] <> '{}'
    or members is null
    or effects - members <> '{}'
    or not effects ?& members
    or asked -> 'version' is distinct from '1'
    or jsonb_typeof(asked -> 'fence') is distinct from 'number'
    or asked ->> 'fence' !~ '^[1-9][0-9]{0,8}$'
    or jsonb_typeof(asked -> 'effectKey') is distinct from 'string'
    or length(asked ->> 'effectKey') not between 1 and 200
    or jsonb_typeof(asked -> 'digest') is distinct from 'string'
    or length(asked ->> 'digest') not between 1 and 200
    or coalesce(asked ->> 'notAfter', '') !~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$'
    or effects ->> 'kind' is distinct from 'postgres.rows'
    or jsonb_typeof(coalesce(effects -> 'cascades', '[]')) <> 'array'
    or jsonb_typeof(coalesce(effects -> 'triggers', '[]')) <> 'array'
    or not firebreak.are_tables(firebreak.tables_of(effects))
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

-- Deletes, keeps what went for undo, and says how much it was. After the hands nothing is looked up by name here: see
-- the end of perform.
create or replace function firebreak.delete_rows(effect text, effects jsonb) returns jsonb
language plpgsql as $body$
declare
  tables jsonb := firebreak.tables_of(effects);
  answer jsonb := jsonb_build_object('counts', firebreak.counts_of(tables));
begin
  insert into firebreak.kept
    select effect, k.place, k.schema_name, k.table_name, k.columns, k.rows, k.items
      from firebreak_hands.take(tables, effects -> 'triggers') as k;
  return answer;
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
  answer jsonb;
  path text := current_setting('search_path');
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
  answer := case asked -> 'effects' ->> 'operation'
    when 'delete' then firebreak.delete_rows(asked ->> 'effectKey', asked -> 'effects')
    when 'read' then firebreak_hands.read_rows(asked -> 'effects')
    when 'restore' then firebreak.restore_planned(asked -> 'effects') end;
  -- A plain SET in a trigger outlives every function that it is in: another path would choose what the owner runs next.
  if pg_catalog.current_setting('search_path') operator(pg_catalog.<>) path then
    raise exception using errcode = 'ZF007', message = 'a trigger changed the settings of the session';
  end if;
  update firebreak.effects e set counts = answer -> 'counts' where e.effect_key = asked ->> 'effectKey';
  -- A caller can switch its own statement_timeout off; nobody can switch this off.
  if clock_timestamp() > not_after + interval '{{statement_timeout_ms}} ms' then
    perform firebreak.refuse('ZF004', 'the statement expired while it ran');
  end if;
  return jsonb_build_object('repeated', false) || answer;
end
$body$;
