-- $1 id, $2 name, $3 host, $4 pid, $5 sdk, $6 concurrency, $7 handlers (JSON text), $8 seconds of lease. No row: it has ended already.
insert into worker (id, name, host, pid, sdk, concurrency, handlers, lease_until)
values ($1, $2, $3, $4, $5, $6, $7::jsonb, now() + $8 * interval '1 second')
on conflict (id) do update set handlers = excluded.handlers, lease_until = excluded.lease_until, heartbeat_at = now()
where worker.stopped_at is null
returning id
