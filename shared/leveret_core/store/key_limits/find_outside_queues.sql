-- key_limits/find_outside_queues
-- Of some pending occurrences, from one id on, those that wait for a token of their value and stand in no queue. There should be none.
-- $1 the last id of the look before, $2 how many are looked at
with part as materialized (
    select id, job_id, ring_at from occurrence
    where state = 'pending' and state <> 'succeeded' and id > $1
    order by id limit $2
)
select s.id, s.job_id, (select max(id) from part) as last, (select count(*) from part) as looked_at
from (select max(id) from part) m
left join part s on s.ring_at = 'infinity'
    and not exists (select from rate_line n where n.occurrence_id = s.id and not n.told)
