-- Deferred occurrences of limited types whose time has come wait for a token like everything else of the type. $1 types
update occurrence set ring_at = null
where state = 'pending' and ring_at is not null and ring_at <= now() and rings = 0 and type = any($1::text[])
