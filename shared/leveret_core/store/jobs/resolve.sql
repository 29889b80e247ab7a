-- $1 id or null, $2 name or null
select id from job where deleted_at is null and (id = $1 or name = $2)
