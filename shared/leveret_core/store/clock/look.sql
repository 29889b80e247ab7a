-- clock/look
-- Notes the time, and tells by how many seconds the clock of Postgres has gone back since the last note; null when there is none.
with before as (
    select clock_at from dispatcher_finding where name = 'dispatcher' for update
)
update dispatcher_finding f set clock_at = clock_timestamp()
from before
where f.name = 'dispatcher'
returning extract(epoch from before.clock_at - f.clock_at)::double precision
