-- Puts back what an effect deleted, once, or nothing: a row that would come back different ends it.
create or replace function firebreak.restore_rows(effect text) returns bigint
language plpgsql volatile
{{settings}}
set lock_timeout = {{lock_timeout_ms}}
as $body$
declare
  done firebreak.effects;
  relation oid;
  name text;
  columns text;
  values_kept text;
  restored text[];
begin
  select e.* into done from firebreak.effects e where e.effect_key = effect for update;
  if not found or done.undo_rows is null or done.restored_at is not null then
    perform firebreak.refuse('ZF009', 'no rows are kept under this effect key, or they were put back before');
  end if;
  relation := firebreak.lock_table(done.undo_schema, done.undo_table);
  if firebreak.column_list(relation) <> done.undo_columns then
    perform firebreak.refuse('ZF007', 'the columns of the table have changed since the rows were deleted');
  end if;
  name := format('%I.%I', done.undo_schema, done.undo_table);
  -- Generated columns are computed again; the comparison below holds them to what they were.
  select string_agg(quote_ident(a.attname), ', ' order by a.attnum),
      string_agg(format('(k.content).%I', a.attname), ', ' order by a.attnum) into columns, values_kept
    from pg_attribute a
    where a.attrelid = relation and a.attnum > 0 and not a.attisdropped and a.attgenerated = '';
  execute format($query$
    with back as (
      insert into %1$s as t (%2$s) overriding system value
        select %3$s from (select u.content::%1$s from unnest($1) as u (content) offset 0) as k (content)
        returning (t.*)::text as content)
    select coalesce(array_agg(b.content order by b.content collate "C"), '{}') from back b
    $query$, name, columns, values_kept)
    into restored using done.undo_rows;
  set constraints all immediate;
  if restored <> (select coalesce(array_agg(u.content order by u.content collate "C"), '{}')
    from unnest(done.undo_rows) as u (content))
  then
    perform firebreak.refuse('ZF006', 'a row would come back different from what was deleted');
  end if;
  update firebreak.effects e set restored_at = clock_timestamp() where e.effect_key = effect;
  return cardinality(done.undo_rows);
end
$body$;
