-- liveness/waiting_queues
-- Queues in which an occurrence waits, from one on: which is first, and how many slots are free. None should be: what ends gives the slot to
-- the next of the queue within the same transaction. A skip scan, so that a long queue costs no more than a short one.
-- $1 job id and $2 key of the last queue of the look before, $3 how many queues
with recursive queue (job_id, key, n) as (
    (
        select job_id, concurrency_key, 1 from occurrence
        where state = 'waiting' and (job_id, concurrency_key) > ($1::bigint, $2::text)
        order by job_id, concurrency_key limit 1
    )
    union all
    select following.job_id, following.concurrency_key, queue.n + 1
    from queue
    cross join lateral (
        select o.job_id, o.concurrency_key from occurrence o
        where o.state = 'waiting' and (o.job_id, o.concurrency_key) > (queue.job_id, queue.key)
        order by o.job_id, o.concurrency_key limit 1
    ) following
    where queue.n < $3
)
select l.job_id, l.key, first.id,
       case when b.id is null and j.concurrency = 'allow' then 1 else coalesce(b.max_concurrent, j.max_concurrent) - (
           select count(*) from slot s where s.job_id = l.job_id and s.key = l.key
       ) end as free
from queue l
join job j on j.id = l.job_id
left join backfill b on b.job_id = l.job_id and 'backfill:' || b.id = l.key
cross join lateral (
    select o.id from occurrence o
    where o.state = 'waiting' and o.job_id = l.job_id and o.concurrency_key = l.key
    order by o.scheduled_for, o.id limit 1
) first
order by l.n
