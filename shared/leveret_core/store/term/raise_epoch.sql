-- The winner of the lock begins a new term. $1 name, $2 holder, $3 holder's name, $4 seconds of lease
update term set epoch = epoch + 1, holder = $2, holder_name = $3, acquired_at = now(), lease_until = now() + $4 * interval '1 second',
    progress_at = coalesce(progress_at, now())
where name = $1
returning epoch
