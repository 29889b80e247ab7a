-- Workers alive, the slots they offer, and what they said to run at their last heartbeat.
select count(*) as alive, coalesce(sum(concurrency) filter (where state = 'alive'), 0)::integer as slots,
       coalesce(sum(running), 0)::integer as running
from worker
where stopped_at is null
