-- $1 job id, $2 key
select id from occurrence where job_id = $1 and idempotency_key = $2
