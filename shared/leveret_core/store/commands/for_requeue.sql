-- $1 id
select job_id, state::text, payload::text, priority from occurrence where id = $1
