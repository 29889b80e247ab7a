-- Ids of what workers hold. $1 worker ids
select id from occurrence where worker_id = any($1::uuid[]) and state in ('running', 'cancelling')
