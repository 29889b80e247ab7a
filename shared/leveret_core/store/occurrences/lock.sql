-- Locks occurrences in one order for all; the locks of their jobs are held. $1 ids
select id from occurrence where id = any($1::bigint[]) order by id for no key update
