-- Locks, compares, hands out and deletes exactly the planned rows of the planned tables; any difference ends the
-- transaction. `tables` is the named one first, then those whose rows go with it, each after one that it refers to.
create or replace function firebreak_hands.take(tables jsonb, triggers jsonb) returns setof firebreak.kept
language plpgsql volatile security definer
{{settings}}
set lock_timeout = {{lock_timeout_ms}}
as $body$
declare
  relations oid[] := firebreak.lock_tables(tables);
begin
  perform firebreak.check_triggers(
    array(select g.id from unnest(relations) as r (relation) cross join lateral firebreak.delete_triggers(r.relation) g),
    triggers);
  for place in 0 .. cardinality(relations) - 1 loop
    return next firebreak.lock_rows(relations[place + 1], tables -> place, place);
  end loop;
  perform firebreak.check_closed(relations, tables);
  perform firebreak.delete_planned(relations, tables);
  -- A deferred foreign key or trigger answers here and not at the caller's commit.
  set constraints all immediate;
  if triggers <> '[]' then perform firebreak.check_gone(relations, tables); end if;
end
$body$;
