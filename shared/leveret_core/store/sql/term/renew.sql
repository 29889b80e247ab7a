-- $1 name, $2 epoch, $3 seconds of lease. No row: the term is over.
update term set lease_until = now() + $3 * interval '1 second' where name = $1 and epoch = $2 returning epoch
