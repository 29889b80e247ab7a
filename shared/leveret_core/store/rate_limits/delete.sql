-- $1 type
delete from rate_limit where type = $1 returning type
