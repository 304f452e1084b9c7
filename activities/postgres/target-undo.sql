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
  if not found or done.undo_rows is null then
    perform firebreak.refuse('ZF009', 'no rows are kept under this effect key');
  end if;
  if done.restored_at is not null then
    perform firebreak.refuse('ZF011', 'the rows of this effect were put back before');
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

-- The same as an effect of its own: what was shown is what is kept, and what comes back.
create or replace function firebreak.restore_planned(effects jsonb) returns jsonb
language plpgsql as $body$
declare
  kept firebreak.effects;
begin
  -- The row stays locked until the end: of two restores the second one sees what the first one did.
  select e.* into kept from firebreak.effects e where e.effect_key = effects ->> 'restores' for update;
  if found and kept.undo_rows is not null and (kept.undo_schema, kept.undo_table, kept.undo_items)
    is distinct from (effects ->> 'schema', effects ->> 'table', effects -> 'rows')
  then
    perform firebreak.refuse('ZF006', 'the rows that are kept are not the planned ones');
  end if;
  return jsonb_build_object('counts',
    jsonb_build_object('rows', firebreak.restore_rows(effects ->> 'restores')));
end
$body$;

-- What the planner may know of kept rows: where they were, keys and hashes, never their contents. Null: none are.
create or replace function firebreak.kept_rows(effect text) returns jsonb
language sql stable security definer
{{settings}}
as $body$
  select jsonb_build_object('schema', e.undo_schema, 'table', e.undo_table, 'rows', e.undo_items,
      'restored', e.restored_at is not null,
      'columnsSame', firebreak.column_list(to_regclass(format('%I.%I', e.undo_schema, e.undo_table)))
        is not distinct from e.undo_columns)
    from firebreak.effects e where e.effect_key = effect and e.undo_rows is not null
$body$;
