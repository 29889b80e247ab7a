-- $1 id, $2 name, $3 host, $4 pid, $5 sdk, $6 concurrency, $7 handlers (JSON text), $8 seconds of lease, $9 digest of the secret. No row: it
-- has ended already, or is another's, or had other handlers, which stay the same as long as an id lives.
insert into worker (id, name, host, pid, sdk, concurrency, handlers, lease_until, secret)
values ($1, $2, $3, $4, $5, $6, $7::jsonb, now() + $8 * interval '1 second', $9)
on conflict (id) do update set lease_until = excluded.lease_until, heartbeat_at = now()
where worker.stopped_at is null and worker.secret = excluded.secret and worker.handlers = excluded.handlers
returning id
