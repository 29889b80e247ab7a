-- $1 id
select id, name, host, pid, sdk, state, concurrency, running, handlers, started_at, heartbeat_at, stopped_at from worker where id = $1
