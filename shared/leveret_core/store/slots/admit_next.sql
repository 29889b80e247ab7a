-- The heads of queues take the slots that are free; the caller holds the jobs' locks. After `max_concurrent` was lowered more may be
-- live than there are places: then none is admitted, whatever number is free. A backfill has a queue and slots of its own.
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
      and not exists (select from slot s where s.job_id = r.job_id and s.key = r.key and s.n = g.n)
),
taken as (
    insert into slot (job_id, key, n, occurrence_id)
    select job_id, key, free.n, head.id from free join head using (job_id, key, place)
    returning occurrence_id
)
update occurrence o set state = 'pending', reason = null, ring_at = null
from taken where o.id = taken.occurrence_id and o.state = 'waiting'
returning o.id, o.job_id
