-- $1 name, $2 epoch
update term set lease_until = '-infinity', holder = null, holder_name = '' where name = $1 and epoch = $2
