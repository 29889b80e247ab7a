-- $1 ids, $2 running, $3 draining, $4 seconds of lease
update worker w
set heartbeat_at = now(), lease_until = now() + $4 * interval '1 second', running = e.running,
    state = case when e.draining then 'draining' else 'alive' end
from unnest($1::uuid[], $2::integer[], $3::boolean[]) as e (id, running, draining)
where w.id = e.id and w.stopped_at is null
returning w.id
