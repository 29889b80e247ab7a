-- $1 name, $2 epoch, $3 seconds of lease, $4 seconds since the dispatcher last had done what was to be done. No row: the term is over.
update term set lease_until = now() + $3 * interval '1 second', progress_at = now() - $4 * interval '1 second'
where name = $1 and epoch = $2
returning epoch
