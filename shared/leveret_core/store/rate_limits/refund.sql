-- Dispatch messages that were paid for did not reach a queue. $1 types, $2 how many of each
update rate_limit r set tokens = least(r.count, r.tokens + p.count)
from unnest($1::text[], $2::integer[]) as p (type, count)
where r.type = p.type
