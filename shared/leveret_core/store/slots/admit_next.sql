-- The heads of queues take the slots that are free; the caller holds the jobs' locks. After `max_concurrent` was lowered more may be
-- live than there are places: then none is admitted, whatever number is free. A backfill has a queue and slots of its own.
-- See of_jobs.sql for `offset 0`.
-- $1 job ids, $2 the key of each queue
with room as (
    select l.job_id, l.key, coalesce(b.max_concurrent, j.max_concurrent) as max_concurrent,
           coalesce(b.max_concurrent, j.max_concurrent)
               - (select count(*) from slot s where s.job_id = l.job_id and s.key = l.key) as places
    from (select distinct * from unnest($1::bigint[], $2::text[]) as u (job_id, key)) l
    join job j on j.id = l.job_id
    left join backfill b on b.job_id = l.job_id and 'backfill:' || b.id = l.key
),
head as (
    select r.job_id, r.key, h.id, row_number() over (partition by r.job_id, r.key order by h.scheduled_for, h.id) as place
    from room r
    cross join lateral (
        select o.id, o.scheduled_for from occurrence o
        where o.job_id = r.job_id and o.concurrency_key = r.key and o.state = 'waiting'
        order by o.scheduled_for, o.id
        limit greatest(r.places, 0)
    ) h
),
free as (
    select r.job_id, r.key, g.n, row_number() over (partition by r.job_id, r.key order by g.n) as place
    from room r
    cross join lateral generate_series(1, r.max_concurrent) as g (n)
    where (r.job_id, r.key) in (select job_id, key from head)
      and not exists (select from slot s where s.job_id = r.job_id and s.key = r.key and s.n = g.n offset 0)
)
update occurrence o set state = 'pending', reason = null, ring_at = null, slot = free.n
from head join free using (job_id, key, place)
where o.id = head.id and o.state = 'waiting'
returning o.id, o.job_id
