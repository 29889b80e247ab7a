-- clock/jobs
-- Active jobs with a schedule that are not due yet, from one id on. $1 the last id before, $2 how many
select id, trigger::text, next_fire_at, clock_timestamp() as now
from job
where id > $1 and deleted_at is null and paused_at is null and trigger ->> 'kind' in ('cron', 'interval')
  and (max_runs is null or runs < max_runs) and (next_fire_at is null or next_fire_at > clock_timestamp())
order by id
limit $2
