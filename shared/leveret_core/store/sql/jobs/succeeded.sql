-- The jobs of those of the occurrences that succeeded. $1 occurrence ids
select distinct job_id from occurrence where id = any($1::bigint[]) and state = 'succeeded'
