-- Seconds until the next doorbell has to be rung again; null when none is out.
select extract(epoch from min(ring_at) - now())::double precision from occurrence where state = 'pending' and ring_at is not null
