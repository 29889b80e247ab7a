-- $1 job ids
select job_id, count(*) as waiting from occurrence where state = 'waiting' and job_id = any($1::bigint[]) group by job_id
