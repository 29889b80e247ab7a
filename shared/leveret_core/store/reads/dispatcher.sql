-- Who dispatches, by how many seconds the job that is longest due is late, and what the holder of the term found when it looked after
-- things.
select t.holder, t.holder_name, t.epoch, case when t.holder is not null then t.acquired_at end as acquired_at,
       case when t.holder is not null then extract(epoch from clock_timestamp() - t.acquired_at)::double precision end as since_seconds,
       greatest(0, extract(epoch from clock_timestamp() - (
           select min(next_fire_at) from job where next_fire_at is not null
       )))::double precision as lag_seconds,
       f.ownerless, f.examples::text as ownerless_examples, f.looked_at as ownerless_looked_at, f.clock_set_back, f.clock_set_back_at
from term t
left join dispatcher_finding f on f.name = t.name
where t.name = 'dispatcher'
