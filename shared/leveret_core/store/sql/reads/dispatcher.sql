-- Who dispatches, and by how many seconds the job that is longest due is late.
select t.holder, t.holder_name, t.epoch, case when t.holder is not null then t.acquired_at end as acquired_at,
       case when t.holder is not null then extract(epoch from clock_timestamp() - t.acquired_at)::double precision end as since_seconds,
       greatest(0, extract(epoch from clock_timestamp() - (
           select min(next_fire_at) from job where next_fire_at is not null
       )))::double precision as lag_seconds
from term t
where t.name = 'dispatcher'
