-- At the beginning of a term: what the last holder may have committed without publishing it is published at once.
-- $1 seconds of the answer timeout, $2 seconds back
update occurrence set ring_at = now()
where state = 'pending' and rings = 1 and ring_at > now() + ($1::double precision - $2::double precision) * interval '1 second'
