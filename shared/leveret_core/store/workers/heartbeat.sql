-- workers/heartbeat
-- $1 ids, $2 running, $3 draining, $4 occurrences they name (arrays as text, null when they cannot say), $5 seconds of lease. Who was
-- told to drain, and does not say that it does, is told again. One row for each attempt that the worker should cancel, and one with
-- nulls if there is none.
-- They are locked in the order of their ids, as claims lock them: several of both meet on the same workers.
with known as (
    select id from worker where id = any($1::uuid[]) and stopped_at is null order by id for no key update
),
beat as (
    update worker w
    set heartbeat_at = now(), lease_until = now() + $5 * interval '1 second', running = e.running, holding = e.holding::bigint[],
        state = case when e.draining or w.state = 'draining' then 'draining' else 'alive' end
    from unnest($1::uuid[], $2::integer[], $3::boolean[], $4::text[]) as e (id, running, draining, holding)
    join known on known.id = e.id
    where w.id = e.id
    returning w.id, w.state = 'draining' and not e.draining as drain
)
select b.id, b.drain, o.id as occurrence_id, o.attempt
from beat b
left join occurrence o on o.worker_id = b.id and o.state = 'cancelling'
