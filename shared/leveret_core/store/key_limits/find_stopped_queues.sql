-- key_limits/find_stopped_queues
-- Values of a limit by key, from one on: what is first in the queue, and whether it is known when that may start. It should be, always.
-- $1 type and $2 key of the last one of the look before, $3 how many
with recursive queue (type, key, n) as (
    (select type, key, 1 from rate_line where (type, key) > ($1::text, $2::text) order by type, key limit 1)
    union all
    select following.type, following.key, queue.n + 1
    from queue
    cross join lateral (
        select l.type, l.key from rate_line l where (l.type, l.key) > (queue.type, queue.key) order by l.type, l.key limit 1
    ) following
    where queue.n < $3
)
select l.type, l.key, first.id, first.job_id, coalesce(b.ready_at is not null, false) as ready
from queue l
left join rate_bucket b on b.type = l.type and b.key = l.key
left join lateral (
    select o.id, o.job_id from rate_line n
    join occurrence o on o.id = n.occurrence_id and o.state::text = 'pending' and o.ring_at = 'infinity'
    where b.ready_at is null and n.type = l.type and n.key = l.key and not n.told
    order by n.priority desc, n.occurrence_id limit 1
) first on true
order by l.n
