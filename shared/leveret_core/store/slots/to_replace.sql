-- What a new occurrence under `replace` may have to end: what waits, and the holders of slots. $1 job ids, $2 the key of each
-- concurrency queue
select o.job_id, l.key, o.id, o.state::text
from unnest($1::bigint[], $2::text[]) as l (job_id, key)
join slot s on s.job_id = l.job_id and s.key = l.key
join occurrence o on o.id = s.occurrence_id
union all
select o.job_id, l.key, o.id, o.state::text
from unnest($1::bigint[], $2::text[]) as l (job_id, key)
join occurrence o on o.job_id = l.job_id and o.concurrency_key = l.key and o.state = 'waiting'
