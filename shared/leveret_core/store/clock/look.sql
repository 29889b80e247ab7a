-- Notes the time, and tells by how many seconds the clock of Postgres has gone back since the last note; null when there is none. A clock
-- that went back by more than $1 seconds is not noted here but by note_set_back, when all is mended: a mend that broke off comes again.
with before as (
    select clock_at, clock_timestamp() as now from dispatcher_finding where name = 'dispatcher' for update
)
update dispatcher_finding f
set clock_at = case when before.clock_at > before.now + $1 * interval '1 second' then before.clock_at else before.now end
from before
where f.name = 'dispatcher'
returning extract(epoch from before.clock_at - before.now)::double precision
