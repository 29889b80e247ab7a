-- `offset 0` makes each queue a look-up of its own in the index of slots, whatever the planner takes their number for.
-- $1 job ids, $2 the key of each
select l.job_id, l.key, h.n, h.occurrence_id
from unnest($1::bigint[], $2::text[]) as l (job_id, key)
cross join lateral (
    select s.n, s.occurrence_id from slot s where s.job_id = l.job_id and s.key = l.key offset 0
) h
