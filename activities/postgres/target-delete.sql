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
    set undo_schema = effects ->> 'schema',
      undo_table = effects ->> 'table', undo_columns = firebreak.column_list(relation), undo_rows = kept,
      undo_items = items
    where e.effect_key = effect;
  return jsonb_build_object('counts', jsonb_build_object('rows', planned));
end
$body$;
