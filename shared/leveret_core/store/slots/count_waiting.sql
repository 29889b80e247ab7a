-- $1 job ids, $2 the key of each concurrency queue
select l.job_id, l.key, (
    select count(*) from occurrence o where o.state = 'waiting' and o.job_id = l.job_id and o.concurrency_key = l.key
) as waiting
from unnest($1::bigint[], $2::text[]) as l (job_id, key)
