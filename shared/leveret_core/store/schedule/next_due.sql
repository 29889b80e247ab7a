-- Seconds until the next job is due; null when none is planned.
select extract(epoch from min(next_fire_at) - now())::double precision from job where next_fire_at is not null
