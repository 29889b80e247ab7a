-- $1 ids
select id, state::text from occurrence where id = any($1::bigint[])
