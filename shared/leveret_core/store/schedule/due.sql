-- Jobs whose next fire time has come, locked; those that another transaction holds come with the next look. `missed_id` is the record
-- that the outage being worked off has already. $1 how many
select id, type, trigger::text, next_fire_at, catch_up, catch_up_window, concurrency, max_concurrent, max_waiting, max_runs, runs,
       key_of(concurrency_key, payload) as key, case when missed_to = next_fire_at then missed_id end as missed_id,
       now() as now
from job
where next_fire_at <= now()
order by next_fire_at
limit $1
for no key update skip locked
