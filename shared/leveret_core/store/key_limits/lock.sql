-- $1 type
select key, count, per from rate_limit_by_key where type = $1 for update
