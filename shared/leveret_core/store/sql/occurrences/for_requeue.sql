-- $1 id
select job_id, state::text, payload::text from occurrence where id = $1
