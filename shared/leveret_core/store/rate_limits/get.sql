-- $1 type
select type, count, per from rate_limit where type = $1
