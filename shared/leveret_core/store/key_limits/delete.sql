-- $1 type
delete from rate_limit_by_key where type = $1 returning type
