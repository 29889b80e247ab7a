-- $1 worker ids
select worker_id, id, attempt from occurrence where worker_id = any($1::uuid[]) and state = 'cancelling'
