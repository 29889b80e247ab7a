-- The jobs of these ids and names that exist. $1 ids, $2 names
select id, name from job where deleted_at is null and id = any($1::bigint[])
union
select id, name from job where deleted_at is null and name = any($2::text[])
