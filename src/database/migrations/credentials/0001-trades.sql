-- The credentials service's own database: nobody else has a login here.
revoke all on database credentials from public;
grant connect on database credentials to firebreak_credentials;
revoke all on schema public from public;
create schema credentials authorization firebreak_owner;
grant usage on schema credentials to firebreak_credentials;

set local role firebreak_owner;
alter default privileges revoke execute on functions from public;

create table credentials.trade (
  iss text not null,
  jti text not null,
  effect_key text not null,
  fence int not null,
  statement_hash text not null,
  traded_at timestamptz not null default clock_timestamp(),
  primary key (iss, jti),
  unique (effect_key, fence)
);

-- Its own unique row first; true when it is new, false when the very same trade is repeated.
create function credentials.record_trade(in_iss text, in_jti text, in_effect_key text, in_fence int, in_hash text)
returns boolean language plpgsql security definer set search_path = pg_catalog as $$
declare same boolean;
begin
  insert into credentials.trade (iss, jti, effect_key, fence, statement_hash)
    values (in_iss, in_jti, in_effect_key, in_fence, in_hash) on conflict do nothing;
  if found then return true; end if;
  select statement_hash = in_hash and effect_key = in_effect_key and fence = in_fence into same
    from credentials.trade where iss = in_iss and jti = in_jti;
  if same is not true then
    raise exception using errcode = 'FB409', message = 'CAPABILITY_SPENT', detail = 'capability was traded before';
  end if;
  return false;
end $$;
grant execute on function credentials.record_trade(text, text, text, int, text) to firebreak_credentials;
