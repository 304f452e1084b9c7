-- Puts back what an effect deleted, once, or nothing.

-- One statement, as rows went: foreign keys look at its end.
create or replace function firebreak.insert_kept(relations oid[], kept firebreak.kept[]) returns void
language plpgsql as $body$
declare
  inserts text;
begin
  -- Generated columns are computed again; they are compared with what they were.
  select string_agg(format(
      'r%1$s as (insert into %2$s as t (%3$s) overriding system value
        select %4$s from (select u.content::%2$s from unnest((($1)[%1$s]).rows) as u (content) offset 0) as k (content))',
      r.place, r.relation::regclass, c.names, c.contents), ', ' order by r.place)
    into inserts
    from unnest(relations) with ordinality as r (relation, place)
    cross join lateral (
      select string_agg(quote_ident(a.attname), ', ' order by a.attnum),
          string_agg(format('(k.content).%I', a.attname), ', ' order by a.attnum)
        from pg_attribute a
        where a.attrelid = r.relation and a.attnum > 0 and not a.attisdropped and a.attgenerated = '')
      as c (names, contents);
  execute format('with %s select', inserts) using kept;
end
$body$;

create or replace function firebreak.check_back(relation oid, kept text[]) returns void
language plpgsql as $body$
declare
  back text[];
begin
  execute format($query$
    select coalesce(array_agg((t.*)::text order by u.position), '{}')
      from (select u.content::%1$s, u.position from unnest($1) with ordinality as u (content, position) offset 0) as u
      join only %1$s as t on %2$s
    $query$, relation::regclass,
    (select string_agg(format('t.%1$I = (u.content).%1$I', n.name), ' and ')
      from unnest((firebreak.key_match(relation, 't')).names) as n (name)))
    into back using kept;
  if back <> kept then
    perform firebreak.refuse('ZF006', 'a row would come back different from what was deleted');
  end if;
end
$body$;

create or replace function firebreak.restore_rows(effect text, triggers jsonb default null) returns jsonb
language plpgsql volatile
{{settings}}
set lock_timeout = {{lock_timeout_ms}}
as $body$
declare
  done firebreak.effects;
  kept firebreak.kept[];
begin
  -- The row stays locked until the end: of two restores the second one sees what the first one did.
  select e.* into done from firebreak.effects e where e.effect_key = effect for update;
  kept := array(select k from firebreak.kept k where k.effect_key = effect order by k.place);
  if cardinality(kept) = 0 then
    perform firebreak.refuse('ZF009', 'no rows are kept under this effect key');
  end if;
  if done.restored_at is not null then
    perform firebreak.refuse('ZF011', 'the rows of this effect were put back before');
  end if;
  update firebreak.effects e set restored_at = clock_timestamp() where e.effect_key = effect;
  -- Last, because triggers run in it: after it nothing is looked up by name.
  perform firebreak_hands.put(kept, triggers);
  return done.counts;
end
$body$;

-- The same as an effect of its own: what was shown is what is kept, and what comes back.
create or replace function firebreak.restore_planned(effects jsonb) returns jsonb
language plpgsql as $body$
declare
  effect text := effects ->> 'restores';
  kept jsonb;
begin
  perform from firebreak.effects e where e.effect_key = effect for update;
  kept := (select jsonb_agg(
      jsonb_build_object('schema', k.schema_name, 'table', k.table_name, 'rows', k.items) order by k.place)
    from firebreak.kept k where k.effect_key = effect);
  if kept is not null and kept <> firebreak.tables_of(effects) then
    perform firebreak.refuse('ZF006', 'the rows that are kept are not the planned ones');
  end if;
  return jsonb_build_object('counts', firebreak.restore_rows(effect, effects -> 'triggers'));
end
$body$;

-- What the planner may know of kept rows: where they were, keys and hashes, never their contents. Null: none are.
create or replace function firebreak.kept_rows(effect text) returns jsonb
language sql stable security definer
{{settings}}
as $body$
  select jsonb_build_object('restored', e.restored_at is not null, 'tables', (
      select jsonb_agg(jsonb_build_object('schema', k.schema_name, 'table', k.table_name, 'rows', k.items,
          'columnsSame', firebreak.column_list(to_regclass(format('%I.%I', k.schema_name, k.table_name)))
            is not distinct from k.columns) order by k.place)
        from firebreak.kept k where k.effect_key = effect))
    from firebreak.effects e
    where e.effect_key = effect and exists (select from firebreak.kept k where k.effect_key = effect)
$body$;
