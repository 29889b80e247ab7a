-- For claims that do not tell the types of their dispatch messages. $1 ids
select id, type from occurrence where id = any($1::bigint[])
