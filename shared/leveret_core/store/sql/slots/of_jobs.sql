-- $1 job ids
select job_id, n, occurrence_id from slot where job_id = any($1::bigint[])
