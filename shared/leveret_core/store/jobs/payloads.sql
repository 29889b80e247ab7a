-- Types and payloads of jobs. $1 ids, $2 names
select id, name, type, payload::text from job where deleted_at is null and (id = any($1::bigint[]) or name = any($2::text[]))
