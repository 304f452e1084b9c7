-- Owners cannot log in; every login is one trust domain and reaches power only through functions.
-- Logins themselves are made by the migrating command, because passwords never stand in a migration.

revoke all on database firebreak from public;
grant connect on database firebreak to firebreak_gateway, firebreak_people, firebreak_broker, firebreak_gate,
  firebreak_credentials, firebreak_ledger, firebreak_orchestrator, firebreak_planner, firebreak_executor;
revoke all on schema public from public;

create schema firebreak authorization firebreak_owner;
grant usage on schema firebreak to firebreak_gateway, firebreak_people, firebreak_broker, firebreak_gate,
  firebreak_credentials, firebreak_ledger, firebreak_orchestrator, firebreak_planner, firebreak_executor;

set local role firebreak_owner;
alter default privileges revoke execute on functions from public;

-- The ledger -----------------------------------------------------------------------------------------------------

create table firebreak.domain (login name primary key, name text not null unique);
insert into firebreak.domain (login, name) values
  ('firebreak_gateway', 'gateway'), ('firebreak_people', 'people'), ('firebreak_broker', 'broker'),
  ('firebreak_gate', 'gate'), ('firebreak_credentials', 'credentials'), ('firebreak_ledger', 'ledger'),
  ('firebreak_orchestrator', 'orchestrator'), ('firebreak_planner', 'planner'), ('firebreak_executor', 'executor');

-- Which domain may append which kind of entry; the ledger itself authors nothing.
create table firebreak.entry_kind (author text not null, kind text not null, primary key (author, kind));
insert into firebreak.entry_kind (author, kind) values
  ('gateway', 'requested'), ('gateway', 'cancelled'),
  ('broker', 'session-opened'), ('broker', 'session-revoked'), ('broker', 'session-refused'),
  ('broker', 'context-issued'), ('broker', 'decided'), ('broker', 'capability-minted'), ('broker', 'mint-refused'),
  ('planner', 'planned'), ('planner', 'plan-refused'),
  ('people', 'asked'), ('people', 'voted'), ('people', 'vote-refused'), ('people', 'revoked'),
  ('gate', 'consumed'), ('gate', 'consume-refused'),
  ('credentials', 'traded'), ('credentials', 'trade-refused'),
  ('executor', 'performed'), ('executor', 'perform-refused'),
  ('orchestrator', 'ended');

create table firebreak.entry (
  id uuid primary key,
  -- The order of appending. A clock may go back; a sequence never puts an effect before its cause.
  number bigint generated always as identity,
  author text not null,
  kind text not null,
  request_id text,
  -- The signed entry as it is hashed: leaf data is exactly these bytes.
  jws text not null,
  appended_by name not null,
  recorded_at timestamptz not null default clock_timestamp(),
  leaf_index bigint unique,
  foreign key (author, kind) references firebreak.entry_kind (author, kind)
);
create index entry_unsequenced on firebreak.entry (number) where leaf_index is null;
create index entry_of_request on firebreak.entry (request_id) where request_id is not null;

create function firebreak.claims_of(jws text) returns jsonb
language sql immutable strict set search_path = pg_catalog as $$
  select convert_from(decode(
    translate(p, '-_', '+/') || repeat('=', (4 - length(p) % 4) % 4), 'base64'), 'UTF8')::jsonb
  from (select split_part(jws, '.', 2) as p) as part
$$;

create function firebreak.own_domain() returns text
language plpgsql stable security definer set search_path = pg_catalog as $$
declare own text;
begin
  select name into own from firebreak.domain where login = session_user;
  if own is null then
    raise exception using errcode = 'FB403', message = 'NOT_PERMITTED', detail = 'login is no trust domain';
  end if;
  return own;
end $$;

-- The one way into the ledger: author and kind are held against the login, whatever the signature says.
create function firebreak.append_entry(entry_jws text) returns void
language plpgsql security definer set search_path = pg_catalog as $$
declare claims jsonb := firebreak.claims_of(entry_jws); own text := firebreak.own_domain();
begin
  if claims->>'iss' is distinct from own then
    raise exception using errcode = 'FB403', message = 'NOT_PERMITTED',
      detail = format('login of %s may not append an entry of %s', own, claims->>'iss');
  end if;
  if octet_length(entry_jws) > 65000 then
    raise exception using errcode = 'FB413', message = 'TOO_LARGE', detail = 'entry is over 65000 bytes';
  end if;
  -- Its signature is checked by whoever verifies the log; what has not even the form would only break the log.
  if entry_jws !~ '^[A-Za-z0-9_-]+[.][A-Za-z0-9_-]+[.][A-Za-z0-9_-]+$' then
    raise exception using errcode = 'FB400', message = 'INVALID_INPUT', detail = 'entry is no compact JWS';
  end if;
  insert into firebreak.entry (id, author, kind, request_id, jws, appended_by)
    values ((claims->>'id')::uuid, own, claims->>'kind', claims->>'requestId', entry_jws, session_user);
  perform pg_notify('firebreak_entry', '');
end $$;
grant execute on function firebreak.append_entry(text) to firebreak_gateway, firebreak_people, firebreak_broker,
  firebreak_gate, firebreak_credentials, firebreak_orchestrator, firebreak_planner, firebreak_executor;

create table firebreak.ledger_state (
  only_row boolean primary key default true check (only_row),
  size bigint not null,
  root bytea not null,
  -- The compact range of the tree, so that the sequencer starts without reading it whole.
  range jsonb not null
);
create table firebreak.checkpoint (
  size bigint primary key,
  root bytea not null,
  note text not null,
  signed_at timestamptz not null default clock_timestamp()
);
insert into firebreak.ledger_state (size, root, range) values
  (0, decode('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 'hex'), '{"size":0,"hashes":[]}');

-- The sequencer's lease is the row lock: two sequencers take turns, neither can skip or repeat an index.
create function firebreak.ledger_lock() returns firebreak.ledger_state
language sql security definer set search_path = pg_catalog as $$
  select * from firebreak.ledger_state for update
$$;
-- No ids only once, for the checkpoint of the empty tree: sizes of checkpoints are unique.
create function firebreak.ledger_commit(ids uuid[], old_size bigint, new_root bytea, new_range jsonb, new_note text)
returns void language plpgsql security definer set search_path = pg_catalog as $$
declare new_size bigint := old_size + coalesce(array_length(ids, 1), 0); placed bigint;
begin
  update firebreak.ledger_state set size = new_size, root = new_root, range = new_range where size = old_size;
  if not found then
    raise exception using errcode = 'FB409', message = 'LEDGER_INVALID', detail = 'another sequencer was here';
  end if;
  update firebreak.entry e set leaf_index = old_size + i.n - 1
    from unnest(ids) with ordinality as i (id, n) where e.id = i.id and e.leaf_index is null;
  get diagnostics placed = row_count;
  if placed <> new_size - old_size then
    raise exception using errcode = 'FB409', message = 'LEDGER_INVALID', detail = 'an entry was already placed';
  end if;
  insert into firebreak.checkpoint (size, root, note) values (new_size, new_root, new_note);
end $$;
grant execute on function firebreak.ledger_lock() to firebreak_ledger;
grant execute on function firebreak.ledger_commit(uuid[], bigint, bytea, jsonb, text) to firebreak_ledger;
grant select on firebreak.entry, firebreak.ledger_state, firebreak.checkpoint, firebreak.entry_kind to firebreak_ledger;
