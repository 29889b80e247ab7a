-- workers/heartbeat
-- $1 ids, $2 running, $3 draining, $4 occurrences they name (arrays as text, null when they cannot say), $5 seconds of lease. Who was
-- told to drain, and does not say that it does, is told again. One row for each attempt that the worker should cancel, and one with
-- nulls if there is none.
with beat as (
    update worker w
    set heartbeat_at = now(), lease_until = now() + $5 * interval '1 second', running = e.running, holding = e.holding::bigint[],
        state = case when e.draining or w.state = 'draining' then 'draining' else 'alive' end
    from unnest($1::uuid[], $2::integer[], $3::boolean[], $4::text[]) as e (id, running, draining, holding)
    where w.id = e.id and w.stopped_at is null
    returning w.id, w.state = 'draining' and not e.draining as drain
)
select b.id, b.drain, o.id as occurrence_id, o.attempt
from beat b
left join occurrence o on o.worker_id = b.id and o.state = 'cancelling'
