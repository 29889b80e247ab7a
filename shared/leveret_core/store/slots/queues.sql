-- The queues of the jobs in which an occurrence waits. $1 job ids
select distinct job_id, concurrency_key as key from occurrence where state = 'waiting' and job_id = any($1::bigint[])
