-- $1 ids, $2 running, $3 draining, $4 seconds of lease. Who was told to drain, and does not say that it does, is told again.
update worker w
set heartbeat_at = now(), lease_until = now() + $4 * interval '1 second', running = e.running,
    state = case when e.draining or w.state = 'draining' then 'draining' else 'alive' end
from unnest($1::uuid[], $2::integer[], $3::boolean[]) as e (id, running, draining)
where w.id = e.id and w.stopped_at is null
returning w.id, w.state = 'draining' and not e.draining as drain
