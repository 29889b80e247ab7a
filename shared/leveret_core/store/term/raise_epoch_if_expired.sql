-- Election while Redis is away: only an expired lease may be taken over, or one that no clock would write that was not set back since:
-- its holder renews it in time if it lives. $1 name, $2 holder, $3 holder's name, $4 seconds of lease
update term set epoch = epoch + 1, holder = $2, holder_name = $3, acquired_at = now(), lease_until = now() + $4 * interval '1 second',
    progress_at = coalesce(progress_at, now())
where name = $1 and (lease_until < now() or lease_until > now() + $4 * interval '10 seconds')
returning epoch
