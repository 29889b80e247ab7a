-- Seconds until the next occurrence of the type may start; null when none waits in a queue. $1 type
select extract(epoch from min(ready_at) - clock_timestamp())::double precision from rate_bucket where type = $1 and ready_at is not null
