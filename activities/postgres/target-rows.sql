-- The steps of a delete. All of them run with the rights of whoever calls, which is firebreak_target_hands.

-- The planned rows of one table under a lock that keeps their content as it is, and new rows from referring to them.
create or replace function firebreak.lock_rows(relation oid, planned jsonb, place integer) returns firebreak.kept
language plpgsql as $body$
declare
  items jsonb := planned -> 'rows';
  seen bigint;
  same bigint;
  one firebreak.kept;
begin
  execute format($query$
    select count(*), count(*) filter (where now.hash = now.planned),
        coalesce(array_agg(now.content order by now.position), '{}')
      from (
        select p.position, p.item ->> 'hash' as planned, {{row_hash}} as hash, (t.*)::text as content
          from jsonb_array_elements($1) with ordinality as p (item, position)
          join only %s as t on %s
          order by p.position
          for update of t) as now
    $query$, relation::regclass, (firebreak.key_match(relation, 't')).condition)
    into seen, same, one.rows using items;
  if seen <> jsonb_array_length(items) or same <> seen then
    perform firebreak.refuse('ZF006', format('%s rows of %s were planned, %s are there, %s unchanged',
      jsonb_array_length(items), relation::regclass, seen, same));
  end if;
  one.place := place;
  one.schema_name := planned ->> 'schema';
  one.table_name := planned ->> 'table';
  one.columns := firebreak.column_list(relation);
  one.items := items;
  return one;
end
$body$;

-- Whatever a foreign key would delete or change along with a planned row is planned itself. The planned rows are locked:
-- a row that begins to refer to one of them waits, so that what is true here stays true.
create or replace function firebreak.check_closed(relations oid[], tables jsonb) returns void
language plpgsql as $body$
declare
  reference record;
  at integer;
  more bigint;
begin
  for reference in
    select f.*, r.relation, r.place from unnest(relations) with ordinality as r (relation, place)
      cross join lateral firebreak.references_of(r.relation) f
      where f.on_delete in ('cascade', 'set null', 'set default')
  loop
    at := array_position(relations, reference.child);
    execute format($query$
      select count(*) from only %s as t
        where exists (select from jsonb_array_elements($1) as p (item) join only %s as r on %s where %s)
          and not exists (select from jsonb_array_elements($2) as p (item) where %s)
      $query$, reference.child::regclass, reference.relation::regclass,
      (firebreak.key_match(reference.relation, 'r')).condition, reference.condition,
      case when at is null then 'true' else (firebreak.key_match(reference.child, 't')).condition end)
      into more using tables -> (reference.place::integer - 1) -> 'rows',
        coalesce(tables -> (at - 1) -> 'rows', '[]');
    if more <> 0 then
      perform firebreak.refuse('ZF006', format('%s rows of %s that were not planned refer to planned ones by %I',
        more, reference.child::regclass, reference.name));
    end if;
  end loop;
end
$body$;

-- One statement, because foreign keys look at its end: in any other order a circle of them could not be deleted. What
-- PostgreSQL itself deletes along is found gone.
create or replace function firebreak.delete_planned(relations oid[], tables jsonb) returns void
language plpgsql as $body$
declare
  deletes text;
  counts text;
  deleted bigint[];
begin
  select string_agg(format(
        'd%s as (delete from only %s as t using jsonb_array_elements($1 -> %s -> ''rows'') as p (item) where %s returning 1)',
        r.place, r.relation::regclass, r.place - 1, m.condition), ', ' order by r.place),
      string_agg(format('(select count(*) from d%s)', r.place), ', ' order by r.place)
    into deletes, counts
    from unnest(relations) with ordinality as r (relation, place)
    cross join lateral firebreak.key_match(r.relation, 't') as m;
  execute format('with %s select array[%s]', deletes, counts) into deleted using tables;
  for at in 1 .. cardinality(relations) loop
    if deleted[at] <> jsonb_array_length(tables -> (at - 1) -> 'rows') then
      perform firebreak.refuse('ZF006', format('%s rows of %s were planned, %s would be deleted',
        jsonb_array_length(tables -> (at - 1) -> 'rows'), relations[at]::regclass, deleted[at]));
    end if;
  end loop;
end
$body$;

-- A trigger can put a row back right after it went.
create or replace function firebreak.check_gone(relations oid[], tables jsonb) returns void
language plpgsql as $body$
declare
  left_over bigint;
begin
  for at in 1 .. cardinality(relations) loop
    execute format('select count(*) from jsonb_array_elements($1) as p (item) join only %s as t on %s',
      relations[at]::regclass, (firebreak.key_match(relations[at], 't')).condition)
      into left_over using tables -> (at - 1) -> 'rows';
    if left_over <> 0 then
      perform firebreak.refuse('ZF006', format('%s planned rows of %s are there after they were deleted',
        left_over, relations[at]::regclass));
    end if;
  end loop;
end
$body$;

-- The named table's rows and, where rows of other tables go along, how many of those.
create or replace function firebreak.counts_of(tables jsonb) returns jsonb
language sql immutable as $body$
  select jsonb_build_object('rows', jsonb_array_length(tables -> 0 -> 'rows'))
    || case when jsonb_array_length(tables) = 1 then '{}' else jsonb_build_object('cascadedRows',
      (select sum(jsonb_array_length(t.one -> 'rows')) from jsonb_array_elements(tables - 0) as t (one))) end
$body$;
