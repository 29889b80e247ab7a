-- $1 type
select type, key, count, per from rate_limit_by_key where type = $1
