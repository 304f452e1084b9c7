set local role firebreak_owner;

-- The authority row: every fact that the last check reads is fenced by it. ---------------------------------------

create table firebreak.authority (
  only_row boolean primary key default true check (only_row),
  version bigint not null
);
insert into firebreak.authority (version) values (1);

-- A reader (consume) queues behind every waiting writer, because the advisory lock is fair; row locks alone let a
-- flood of consumes starve a revocation. Then the row itself, so that the version cannot move until commit.
create function firebreak.lock_authority() returns bigint
language plpgsql security definer set search_path = pg_catalog as $$
declare current bigint;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception using errcode = 'FB500', message = 'INTERNAL', detail = 'expected READ COMMITTED';
  end if;
  perform pg_advisory_xact_lock_shared(1179795019);
  select version into strict current from firebreak.authority for share;
  return current;
end $$;
create function firebreak.bump_authority() returns bigint
language plpgsql security definer set search_path = pg_catalog as $$
declare current bigint;
begin
  perform pg_advisory_xact_lock(1179795019);
  update firebreak.authority set version = version + 1 returning version into strict current;
  return current;
end $$;
grant execute on function firebreak.lock_authority() to firebreak_gate;

-- Sessions --------------------------------------------------------------------------------------------------------

create table firebreak.session (
  id text primary key,
  agent text not null,
  agent_class text not null,
  sub text not null,
  owner text not null,
  tenant text not null,
  environment text not null,
  purpose text not null,
  jkt text not null,
  epoch int not null default 0,
  opened_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  revoked_at timestamptz
);
create function firebreak.open_session(s jsonb, entry_jws text) returns void
language plpgsql security definer set search_path = pg_catalog as $$
begin
  insert into firebreak.session (id, agent, agent_class, sub, owner, tenant, environment, purpose, jkt, expires_at)
    values (s->>'id', s->>'agent', s->>'agentClass', s->>'sub', s->>'owner', s->>'tenant', s->>'environment',
      s->>'purpose', s->>'jkt', (s->>'expiresAt')::timestamptz);
  perform firebreak.append_entry(entry_jws);
end $$;
create function firebreak.revoke_session(session_id text, entry_jws text) returns boolean
language plpgsql security definer set search_path = pg_catalog as $$
begin
  perform firebreak.bump_authority();
  update firebreak.session set revoked_at = clock_timestamp(), epoch = epoch + 1
    where id = session_id and revoked_at is null;
  if not found then return false; end if;
  perform firebreak.append_entry(entry_jws);
  return true;
end $$;
grant execute on function firebreak.open_session(jsonb, text) to firebreak_broker;
grant execute on function firebreak.revoke_session(text, text) to firebreak_broker, firebreak_people;
grant select on firebreak.session to firebreak_gateway, firebreak_broker, firebreak_gate, firebreak_people;

-- Proofs that were seen: DPoP proofs, Slack signatures. Durable, so that a restart forgets none. -------------------

create table firebreak.seen (
  scope text not null,
  id text not null,
  expires_at timestamptz not null,
  primary key (scope, id)
);
create index seen_expiry on firebreak.seen (expires_at);
-- True the first time. The scope is the caller's own domain, so that no domain can use up another one's ids.
create function firebreak.remember(proof_id text, proof_expires_at timestamptz) returns boolean
language plpgsql security definer set search_path = pg_catalog as $$
begin
  insert into firebreak.seen (scope, id, expires_at) values (firebreak.own_domain(), proof_id, proof_expires_at)
    on conflict do nothing;
  return found;
end $$;
create function firebreak.forget_expired() returns bigint
language plpgsql security definer set search_path = pg_catalog as $$
declare gone bigint;
begin
  delete from firebreak.seen where expires_at < clock_timestamp() - interval '1 minute';
  get diagnostics gone = row_count;
  return gone;
end $$;
grant execute on function firebreak.remember(text, timestamptz) to firebreak_gateway, firebreak_people, firebreak_broker, firebreak_gate;
grant execute on function firebreak.forget_expired() to firebreak_gateway, firebreak_people, firebreak_broker, firebreak_gate;

-- Requests --------------------------------------------------------------------------------------------------------

create table firebreak.request (
  id text primary key,
  revision int not null default 1,
  -- RFC 8785 text of what the digest covers, without planHash: {requestId, revision, session, sub, act, action, …}.
  content text not null,
  request_digest text not null,
  tenant text not null,
  environment text not null,
  session_id text not null references firebreak.session (id),
  agent text not null,
  action text not null,
  target text not null,
  resource text not null,
  effect_class text not null,
  -- The agent's own words; shown apart and unverified, never part of the digest.
  justification text,
  context_envelope text not null,
  trace_id text not null,
  idempotency_key text,
  body_hash text not null,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  state text not null default 'accepted' check (state in ('accepted', 'waiting', 'performing', 'done', 'denied',
    'expired', 'cancelled', 'failed', 'indeterminate')),
  -- What the state means to its reader: {code, detail, …}.
  state_detail jsonb not null default '{}',
  state_at timestamptz not null default clock_timestamp()
);
create unique index request_idempotency on firebreak.request (agent, tenant, idempotency_key)
  where idempotency_key is not null;
create index request_newest on firebreak.request (tenant, created_at desc);

create table firebreak.outbox (
  id bigint generated always as identity primary key,
  domain text not null,
  kind text not null check (kind in ('start', 'look')),
  request_id text not null references firebreak.request (id),
  attempts int not null default 0,
  next_at timestamptz not null default clock_timestamp(),
  created_at timestamptz not null default clock_timestamp(),
  done_at timestamptz
);
create index outbox_open on firebreak.outbox (domain, next_at) where done_at is null;

create function firebreak.ring(in_domain text, in_kind text, in_request text) returns void
language plpgsql security definer set search_path = pg_catalog as $$
begin
  insert into firebreak.outbox (domain, kind, request_id) values (in_domain, in_kind, in_request);
  perform pg_notify('firebreak_outbox_' || in_domain, in_request);
end $$;

-- Request, outbox row and entry, in the caller's transaction: all or none (S11).
create function firebreak.file_request(r jsonb, entry_jws text) returns void
language plpgsql security definer set search_path = pg_catalog as $$
begin
  insert into firebreak.request (id, revision, content, request_digest, tenant, environment, session_id, agent,
      action, target, resource, effect_class, justification, context_envelope, trace_id, idempotency_key, body_hash,
      expires_at)
    values (r->>'id', (r->>'revision')::int, r->>'content', r->>'requestDigest', r->>'tenant', r->>'environment',
      r->>'sessionId', r->>'agent', r->>'action', r->>'target', r->>'resource', r->>'effectClass',
      r->>'justification', r->>'contextEnvelope', r->>'traceId', r->>'idempotencyKey', r->>'bodyHash',
      (r->>'expiresAt')::timestamptz);
  perform firebreak.ring('gateway', 'start', r->>'id');
  perform firebreak.append_entry(entry_jws);
end $$;
grant execute on function firebreak.file_request(jsonb, text) to firebreak_gateway;

-- Each domain takes and settles only its own outbox rows.
create function firebreak.take_outbox(most int, lease interval) returns setof firebreak.outbox
language sql security definer set search_path = pg_catalog as $$
  update firebreak.outbox set attempts = attempts + 1, next_at = clock_timestamp() + lease
    where id in (
      select id from firebreak.outbox
      where domain = firebreak.own_domain() and done_at is null and next_at <= clock_timestamp()
      order by id limit most for update skip locked)
    returning *
$$;
create function firebreak.settle_outbox(in_id bigint) returns void
language sql security definer set search_path = pg_catalog as $$
  update firebreak.outbox set done_at = clock_timestamp()
    where id = in_id and domain = firebreak.own_domain()
$$;
grant execute on function firebreak.take_outbox(int, interval), firebreak.settle_outbox(bigint) to firebreak_gateway, firebreak_people;

-- Denied, expired and cancelled are final, through retry, reset and restore (S10). 'done' needs its outcome.
create function firebreak.set_request_state(request_id text, new_state text, detail jsonb, entry_jws text)
returns boolean language plpgsql security definer set search_path = pg_catalog as $$
declare old_state text;
begin
  perform firebreak.bump_authority();
  select state into old_state from firebreak.request where id = request_id for update;
  if old_state is null then
    raise exception using errcode = 'FB404', message = 'UNKNOWN_REQUEST', detail = 'no such request';
  end if;
  if old_state in ('done', 'denied', 'expired', 'cancelled', 'failed') then return false; end if;
  if new_state = 'done' and not exists (select from firebreak.outcome o
      where o.effect_key = request_id and o.outcome = 'applied') then
    raise exception using errcode = 'FB403', message = 'NOT_PERMITTED', detail = 'done needs a signed outcome';
  end if;
  update firebreak.request set state = new_state, state_detail = detail, state_at = clock_timestamp()
    where id = request_id;
  if entry_jws is not null then perform firebreak.append_entry(entry_jws); end if;
  perform pg_notify('firebreak_request', request_id);
  perform pg_notify('firebreak_notice', request_id);
  return true;
end $$;
grant execute on function firebreak.set_request_state(text, text, jsonb, text) to firebreak_orchestrator;

-- Decisions and plans: appended, never changed. -------------------------------------------------------------------

create table firebreak.decision (
  id bigint generated always as identity primary key,
  request_id text not null references firebreak.request (id),
  revision int not null,
  stage text not null,
  statement text not null,
  recorded_at timestamptz not null default clock_timestamp()
);
create index decision_of_request on firebreak.decision (request_id, id);
create function firebreak.record_decision(in_request text, in_revision int, in_stage text, in_statement text, entry_jws text)
returns void language plpgsql security definer set search_path = pg_catalog as $$
begin
  insert into firebreak.decision (request_id, revision, stage, statement)
    values (in_request, in_revision, in_stage, in_statement);
  perform firebreak.append_entry(entry_jws);
end $$;
grant execute on function firebreak.record_decision(text, int, text, text, text) to firebreak_broker;

create table firebreak.plan (
  id bigint generated always as identity primary key,
  request_id text not null references firebreak.request (id),
  revision int not null,
  plan_hash text not null,
  -- RFC 8785 text whose hash is plan_hash: keys and row hashes, never row contents.
  body text not null,
  statement text not null,
  recorded_at timestamptz not null default clock_timestamp()
);
create index plan_of_request on firebreak.plan (request_id, revision, id);
create function firebreak.record_plan(in_request text, in_revision int, in_hash text, in_body text, in_statement text, entry_jws text)
returns void language plpgsql security definer set search_path = pg_catalog as $$
begin
  insert into firebreak.plan (request_id, revision, plan_hash, body, statement)
    values (in_request, in_revision, in_hash, in_body, in_statement);
  perform firebreak.append_entry(entry_jws);
end $$;
grant execute on function firebreak.record_plan(text, int, text, text, text, text) to firebreak_planner;

-- Asking people ---------------------------------------------------------------------------------------------------

create table firebreak.ask (
  id bigint generated always as identity primary key,
  request_id text not null references firebreak.request (id),
  revision int not null,
  digest text not null,
  plan_hash text not null,
  policy_digest text not null,
  quorum int not null,
  groups text[] not null,
  card_hash text not null,
  asked_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null
);
create index ask_of_request on firebreak.ask (request_id, id);

-- One row a message: what it shows now and what it should show; the poster works until both are equal.
create table firebreak.notice (
  id bigint generated always as identity primary key,
  ask_id bigint not null references firebreak.ask (id),
  surface text not null,
  channel text not null,
  message text,
  shown text,
  attempts int not null default 0,
  next_at timestamptz not null default clock_timestamp(),
  unique (ask_id, surface, channel)
);
-- Once for what is newest: asked again for the same digest and policy, nothing new stands there. A plan that went from
-- A to B and back to A is asked again, because the card of the first A says that it was replaced.
create function firebreak.open_ask(a jsonb, in_surface text, in_channel text, entry_jws text) returns bigint
language plpgsql security definer set search_path = pg_catalog as $$
declare new_id bigint; newest firebreak.ask;
begin
  perform 1 from firebreak.request where id = a->>'requestId' for update;
  select * into newest from firebreak.ask where request_id = a->>'requestId' order by id desc limit 1;
  if newest.revision = (a->>'revision')::int and newest.digest = a->>'digest'
    and newest.policy_digest = a->>'policyDigest' then return null; end if;
  insert into firebreak.ask (request_id, revision, digest, plan_hash, policy_digest, quorum, groups, card_hash, expires_at)
    values (a->>'requestId', (a->>'revision')::int, a->>'digest', a->>'planHash', a->>'policyDigest',
      (a->>'quorum')::int, array(select jsonb_array_elements_text(a->'groups')), a->>'cardHash',
      (a->>'expiresAt')::timestamptz)
    returning id into new_id;
  insert into firebreak.notice (ask_id, surface, channel) values (new_id, in_surface, in_channel);
  perform firebreak.append_entry(entry_jws);
  perform pg_notify('firebreak_notice', a->>'requestId');
  return new_id;
end $$;
create function firebreak.update_notice(in_id bigint, in_message text, in_shown text, in_next_at timestamptz)
returns void language sql security definer set search_path = pg_catalog as $$
  update firebreak.notice set message = coalesce(in_message, message), shown = coalesce(in_shown, shown),
    attempts = case when in_shown is null then attempts + 1 else 0 end, next_at = in_next_at where id = in_id
$$;
grant execute on function firebreak.open_ask(jsonb, text, text, text) to firebreak_people;
grant execute on function firebreak.update_notice(bigint, text, text, timestamptz) to firebreak_people;
grant select on firebreak.notice to firebreak_people;

-- Votes: a durable row first; the signal only says look. -----------------------------------------------------------

create table firebreak.vote (
  id bigint generated always as identity primary key,
  request_id text not null references firebreak.request (id),
  revision int not null,
  digest text not null,
  voter text not null,
  choice text not null check (choice in ('approve', 'deny')),
  statement text not null,
  cast_at timestamptz not null default clock_timestamp(),
  -- A yes may be followed by a no of the same person: anyone may tighten, at any time.
  unique (request_id, revision, digest, voter, choice)
);
create function firebreak.cast_vote(in_statement text, entry_jws text) returns boolean
language plpgsql security definer set search_path = pg_catalog as $$
declare v jsonb := firebreak.claims_of(in_statement);
begin
  perform firebreak.bump_authority();
  insert into firebreak.vote (request_id, revision, digest, voter, choice, statement)
    values (v->>'requestId', (v->>'revision')::int, v->>'digest', v->>'voter', v->>'vote', in_statement)
    on conflict (request_id, revision, digest, voter, choice) do nothing;
  if not found then return false; end if;
  perform firebreak.append_entry(entry_jws);
  perform firebreak.ring('people', 'look', v->>'requestId');
  perform pg_notify('firebreak_notice', v->>'requestId');
  return true;
end $$;
grant execute on function firebreak.cast_vote(text, text) to firebreak_people;

-- Capabilities, consumption, outcome --------------------------------------------------------------------------------

create table firebreak.consumption (
  iss text not null,
  jti text not null,
  effect_key text not null references firebreak.request (id),
  fence int not null check (fence >= 1),
  digest text not null,
  jkt text not null,
  statement text not null,
  votes text[] not null,
  -- The receipt's claims: the same attempt asking again gets these again.
  receipt jsonb not null,
  receipt_exp timestamptz not null,
  consumed_at timestamptz not null default clock_timestamp(),
  primary key (iss, jti),
  unique (effect_key, fence)
);
create table firebreak.outcome (
  effect_key text not null,
  fence int not null,
  outcome text not null check (outcome in ('applied', 'refused', 'unknown')),
  statement text not null,
  recorded_at timestamptz not null default clock_timestamp(),
  primary key (effect_key, fence),
  foreign key (effect_key, fence) references firebreak.consumption (effect_key, fence)
);

-- The point of no return. Everything was checked by the gate on raw signed objects; here the database holds the
-- checker to what may not have moved: the authority row, the clock, and two uniquenesses.
create function firebreak.consume(c jsonb, expected_version bigint, entry_jws text) returns void
language plpgsql security definer set search_path = pg_catalog as $$
begin
  perform 1 from firebreak.authority where version = expected_version for share;
  if not found then
    raise exception using errcode = 'FB409', message = 'CAPABILITY_INVALID', detail = 'authority moved on';
  end if;
  if clock_timestamp() >= (c->>'notAfter')::timestamptz then
    raise exception using errcode = 'FB403', message = 'APPROVAL_EXPIRED', detail = 'too late by the database clock';
  end if;
  insert into firebreak.consumption (iss, jti, effect_key, fence, digest, jkt, statement, votes, receipt, receipt_exp)
    values (c->>'iss', c->>'jti', c->>'effectKey', (c->>'fence')::int, c->>'digest', c->>'jkt', c->>'statement',
      array(select jsonb_array_elements_text(c->'votes')), c->'receipt', (c->>'receiptExp')::timestamptz);
  perform firebreak.append_entry(entry_jws);
end $$;
grant execute on function firebreak.consume(jsonb, bigint, text) to firebreak_gate;

-- 'unknown' may later become 'applied' (a late record of the same attempt), never the other way round.
create function firebreak.record_outcome(in_statement text, entry_jws text) returns boolean
language plpgsql security definer set search_path = pg_catalog as $$
declare o jsonb := firebreak.claims_of(in_statement);
begin
  insert into firebreak.outcome (effect_key, fence, outcome, statement)
    values (o->>'effectKey', (o->>'fence')::int, o->>'outcome', in_statement)
    on conflict (effect_key, fence) do nothing;
  if not found then return false; end if;
  perform firebreak.append_entry(entry_jws);
  return true;
end $$;
grant execute on function firebreak.record_outcome(text, text) to firebreak_executor;

create table firebreak.result (
  request_id text primary key references firebreak.request (id),
  -- JWE for gateway and executor: results never stand in a history or in the clear.
  envelope text not null,
  recorded_at timestamptz not null default clock_timestamp()
);
create function firebreak.store_result(in_request text, in_envelope text) returns void
language sql security definer set search_path = pg_catalog as $$
  insert into firebreak.result (request_id, envelope) values (in_request, in_envelope) on conflict do nothing
$$;
grant execute on function firebreak.store_result(text, text) to firebreak_executor;

-- The agent's own no: final, and it tightens. It takes the authority row as every consumption does, so that of a
-- cancellation and a consumption exactly one is: false where the request has ended or was consumed before.
create function firebreak.cancel_request(in_request text, entry_jws text) returns boolean
language plpgsql security definer set search_path = pg_catalog as $$
declare old_state text; claims jsonb := firebreak.claims_of(entry_jws);
begin
  if claims->>'kind' is distinct from 'cancelled' or claims->>'requestId' is distinct from in_request then
    raise exception using errcode = 'FB403', message = 'NOT_PERMITTED', detail = 'entry is of another act';
  end if;
  perform firebreak.bump_authority();
  select state into old_state from firebreak.request where id = in_request for update;
  if old_state is null then
    raise exception using errcode = 'FB404', message = 'UNKNOWN_REQUEST', detail = 'no such request';
  end if;
  if old_state not in ('accepted', 'waiting', 'performing') then return false; end if;
  if exists (select from firebreak.consumption where effect_key = in_request) then return false; end if;
  update firebreak.request set state = 'cancelled', state_detail = '{}', state_at = clock_timestamp()
    where id = in_request;
  perform firebreak.append_entry(entry_jws);
  perform firebreak.ring('people', 'look', in_request);
  perform pg_notify('firebreak_request', in_request);
  perform pg_notify('firebreak_notice', in_request);
  return true;
end $$;
grant execute on function firebreak.cancel_request(text, text) to firebreak_gateway;

-- Who may read what -------------------------------------------------------------------------------------------------

grant select on firebreak.request to firebreak_gateway, firebreak_people, firebreak_broker, firebreak_gate,
  firebreak_orchestrator, firebreak_planner, firebreak_executor;
grant select on firebreak.decision to firebreak_people, firebreak_broker, firebreak_gate, firebreak_orchestrator, firebreak_gateway;
grant select on firebreak.plan to firebreak_people, firebreak_broker, firebreak_gate, firebreak_planner, firebreak_executor,
  firebreak_orchestrator, firebreak_gateway;
grant select on firebreak.ask, firebreak.vote to firebreak_people, firebreak_gate, firebreak_orchestrator, firebreak_gateway, firebreak_broker;
grant select on firebreak.consumption, firebreak.outcome to firebreak_gate, firebreak_people, firebreak_orchestrator, firebreak_gateway;
grant select on firebreak.authority to firebreak_gate;
grant select on firebreak.result to firebreak_gateway;
grant select on firebreak.entry, firebreak.checkpoint to firebreak_gateway;
