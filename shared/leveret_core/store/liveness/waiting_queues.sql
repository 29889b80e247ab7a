-- liveness/waiting_queues
-- Queues in which an occurrence waits, from one on: which is first, and how many slots are free. None should be: what ends gives the slot to
-- the next in line within the same transaction. A skip scan, so that a long line costs no more than a short one.
-- $1 job id and $2 key of the last line of the look before, $3 how many lines
with recursive line (job_id, key, n) as (
    (
        select job_id, concurrency_key, 1 from occurrence
        where state = 'waiting' and (job_id, concurrency_key) > ($1::bigint, $2::text)
        order by job_id, concurrency_key limit 1
    )
    union all
    select following.job_id, following.concurrency_key, line.n + 1
    from line
    cross join lateral (
        select o.job_id, o.concurrency_key from occurrence o
        where o.state = 'waiting' and (o.job_id, o.concurrency_key) > (line.job_id, line.key)
        order by o.job_id, o.concurrency_key limit 1
    ) following
    where line.n < $3
)
select l.job_id, l.key, first.id,
       case when b.id is null and j.concurrency = 'allow' then 1 else coalesce(b.max_concurrent, j.max_concurrent) - (
           select count(*) from slot s where s.job_id = l.job_id and s.key = l.key
       ) end as free
from line l
join job j on j.id = l.job_id
left join backfill b on b.job_id = l.job_id and 'backfill:' || b.id = l.key
cross join lateral (
    select o.id from occurrence o
    where o.state = 'waiting' and o.job_id = l.job_id and o.concurrency_key = l.key
    order by o.scheduled_for, o.id limit 1
) first
order by l.n
