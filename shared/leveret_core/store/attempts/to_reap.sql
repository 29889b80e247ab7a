-- attempts/to_reap
-- Whether there is anything for the reaper; see overran.sql. $1 seconds of grace
select
    exists (
        select from occurrence o
        join worker w on w.id = o.worker_id
        where o.state in ('running', 'cancelling') and o.timeout is not null
          and o.started_at + (o.timeout + $1) * interval '1 second' < now()
          and w.heartbeat_at >= o.started_at + o.timeout * interval '1 second'
    ) as overrun,
    exists (select from worker where stopped_at is null and lease_until < now()) as lost
