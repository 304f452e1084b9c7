-- Puts rows back that `take` handed out, all of them or none: a row that would come back different ends it. Null
-- triggers are not compared: whoever administers the database puts back by hand.
create or replace function firebreak_hands.put(kept firebreak.kept[], triggers jsonb) returns void
language plpgsql volatile security definer
{{settings}}
set lock_timeout = {{lock_timeout_ms}}
as $body$
declare
  relations oid[] := '{}';
  one firebreak.kept;
begin
  foreach one in array kept loop
    relations := relations || firebreak.lock_table(one.schema_name, one.table_name);
    if firebreak.column_list(relations[cardinality(relations)]) <> one.columns then
      perform firebreak.refuse('ZF007', 'the columns of the table have changed since the rows were deleted');
    end if;
  end loop;
  if triggers is not null then
    perform firebreak.check_triggers(
      array(select g.id from unnest(relations) as r (relation)
        cross join lateral firebreak.insert_triggers(r.relation) g),
      triggers);
  end if;
  perform firebreak.insert_kept(relations, kept);
  set constraints all immediate;
  for at in 1 .. cardinality(relations) loop
    perform firebreak.check_back(relations[at], kept[at].rows);
  end loop;
end
$body$;
