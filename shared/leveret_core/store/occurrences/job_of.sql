-- $1 occurrence id
select job_id from occurrence where id = $1
