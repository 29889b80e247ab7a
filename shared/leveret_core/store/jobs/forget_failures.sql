-- A success ends the row of failures. A statement of its own, not part of the transaction that ends the occurrences: jobs without
-- failures, which is nearly all, are not locked for it. $1 job ids
update job set failures = 0
where id in (select id from job where id = any($1::bigint[]) and failures > 0 order by id for no key update)
returning id
