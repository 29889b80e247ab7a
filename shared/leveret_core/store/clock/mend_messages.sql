-- Dispatch messages that would be published again later than they can be: now. Those that jitter defers keep what is left of it.
-- $1 seconds of the answer timeout
update occurrence
set ring_at = case when rings > 0 then now() else now() + greatest(interval '0', ring_at - created_at) end
where state = 'pending' and ring_at is not null and ring_at > now() and ring_at < 'infinity'
  and case when rings > 0 then ring_at > now() + (least(3600, $1::double precision * 2 ^ least(rings, 10)) + 5) * interval '1 second'
           else created_at > now() end
returning id
