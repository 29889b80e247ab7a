-- occurrences/to_reap
-- Whether there is anything for the reaper. $1 seconds of grace
select
    exists (
        select from occurrence
        where state in ('running', 'cancelling') and timeout is not null
          and started_at + (timeout + $1) * interval '1 second' < now()
    ) as overrun,
    exists (select from worker where stopped_at is null and lease_until < now()) as lost
