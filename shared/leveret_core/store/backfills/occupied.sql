-- Which of the fire times have an occurrence already, and whether that one only records that it did not run. $1 job id, $2 fire times
select scheduled_for, state in ('missed', 'skipped') and attempt = 0 as did_not_run
from occurrence
where job_id = $1 and scheduled_for = any($2::timestamptz[])
