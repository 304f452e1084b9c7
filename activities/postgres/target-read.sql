-- Reads exactly the planned rows and hands out the columns that were asked for. It locks no row: it compares, in the
-- one snapshot of one statement, so that what goes out is what was planned or nothing.
create or replace function firebreak_hands.read_rows(effects jsonb) returns jsonb
language plpgsql volatile security definer
{{settings}}
set lock_timeout = {{lock_timeout_ms}}
as $body$
declare
  items jsonb := effects -> 'rows';
  planned bigint := jsonb_array_length(items);
  name text := format('%I.%I', effects ->> 'schema', effects ->> 'table');
  relation oid := to_regclass(name);
  hazard text;
  match record;
  seen bigint;
  same bigint;
  found jsonb;
begin
  select string_agg(h.sentence, '; ') into hazard from firebreak.form_hazards(relation) as h (sentence);
  if relation is null or hazard is not null then
    perform firebreak.refuse('ZF007', format('%s cannot be read exactly: %s', name,
      coalesce(hazard, 'it does not exist')));
  end if;
  if planned > {{read_rows_max}} then
    perform firebreak.refuse('ZF010', 'more rows are asked for than {{read_rows_max}}');
  end if;
  match := firebreak.key_match(relation, 't');
  perform firebreak.check_items(items, match.names);
  execute format($query$
    select count(*), count(*) filter (where {{row_hash}} = p.item ->> 'hash'),
        coalesce(jsonb_agg((select to_jsonb(c.*) from (select %s) as c) order by p.position), '[]')
      from jsonb_array_elements($1) with ordinality as p (item, position)
      join only %s as t on %s
    $query$, firebreak.result_columns(relation, effects -> 'columns'), name, match.condition)
    into seen, same, found using items;
  if seen <> planned or same <> planned then
    perform firebreak.refuse('ZF006',
      format('%s rows were planned, %s are there, %s unchanged', planned, seen, same));
  end if;
  if octet_length(found::text) > {{read_bytes_max}} then
    perform firebreak.refuse('ZF010', 'the rows are larger than {{read_bytes_max}} bytes');
  end if;
  return jsonb_build_object('counts', jsonb_build_object('rows', planned), 'rows', found);
end
$body$;
