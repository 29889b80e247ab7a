-- Seconds until the next retry; null when none waits.
select extract(epoch from min(retry_at) - now())::double precision from occurrence where state = 'retrying'
