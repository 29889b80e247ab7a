-- term/look
-- Seconds until each loop of the dispatcher has something to do, null when nothing is planned: what finds in time whatever
-- no hint told.
select
    (select extract(epoch from min(next_fire_at) - now())::double precision from job where next_fire_at is not null) as scheduler,
    (select case when exists (select from occurrence where state = 'pending' and ring_at is null) then 0
            else least(
                (select extract(epoch from min(ring_at) - now())::double precision
                 from occurrence where state = 'pending' and ring_at is not null and ring_at < 'infinity'),
                (select extract(epoch from min(ready_at) - now())::double precision from rate_bucket where ready_at is not null)
            ) end) as publisher,
    (select extract(epoch from min(retry_at) - now())::double precision from occurrence where state = 'retrying') as retrier,
    (select extract(epoch from min(scheduled_for) - now())::double precision from occurrence where state = 'scheduled') as admitter,
    (select 0.0::double precision where exists (select from backfill where state = 'running')) as backfiller
