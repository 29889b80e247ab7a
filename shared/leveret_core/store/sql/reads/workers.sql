-- Workers that live, and those that went within the last hour. $1 how many
select id, name, host, pid, sdk, state, concurrency, running, handlers, started_at, heartbeat_at, stopped_at from worker
where stopped_at is null or stopped_at > now() - interval '1 hour'
order by stopped_at desc nulls first, started_at desc
limit $1
