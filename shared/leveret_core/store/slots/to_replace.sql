-- What a new occurrence under `replace` may have to end: what waits, and the holders of slots. See of_jobs.sql for `offset 0`.
-- $1 job ids, $2 the key of each concurrency queue
select o.job_id, l.key, o.id, o.state::text
from unnest($1::bigint[], $2::text[]) as l (job_id, key)
cross join lateral (
    select s.occurrence_id from slot s where s.job_id = l.job_id and s.key = l.key offset 0
) h
join occurrence o on o.id = h.occurrence_id
union all
select o.job_id, l.key, o.id, o.state::text
from unnest($1::bigint[], $2::text[]) as l (job_id, key)
join occurrence o on o.job_id = l.job_id and o.concurrency_key = l.key and o.state = 'waiting'
