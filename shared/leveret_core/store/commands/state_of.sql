-- $1 id
select state::text, worker_id, attempt from occurrence where id = $1
