-- The heads of the queues of the jobs $1 take the free slots; the caller holds the jobs' locks.
with head as (
    select j.id as job_id, h.id, row_number() over (partition by j.id order by h.scheduled_for, h.id) as place
    from job j
    cross join lateral (
        select o.id, o.scheduled_for from occurrence o
        where o.job_id = j.id and o.state = 'waiting'
        order by o.scheduled_for, o.id
        limit j.max_concurrent
    ) h
    where j.id = any($1::bigint[])
),
free as (
    select j.id as job_id, g.n, row_number() over (partition by j.id order by g.n) as place
    from job j
    cross join lateral generate_series(1, j.max_concurrent) as g (n)
    where j.id in (select job_id from head)
      and not exists (select from slot s where s.job_id = j.id and s.n = g.n)
),
taken as (
    insert into slot (job_id, n, occurrence_id)
    select free.job_id, free.n, head.id from free join head using (job_id, place)
    returning occurrence_id
)
update occurrence o set state = 'pending', reason = null, ring_at = null
from taken where o.id = taken.occurrence_id and o.state = 'waiting'
returning o.id, o.job_id
