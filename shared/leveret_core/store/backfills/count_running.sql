-- $1 job id
select count(*) from backfill where job_id = $1 and state = 'running'
