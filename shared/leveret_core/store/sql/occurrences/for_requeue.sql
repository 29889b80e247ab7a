-- $1 id
select job_id, state, payload from occurrence where id = $1
