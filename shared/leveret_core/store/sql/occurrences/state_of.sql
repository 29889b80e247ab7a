-- $1 id
select state, worker_id, attempt from occurrence where id = $1
