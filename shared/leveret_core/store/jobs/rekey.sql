-- A job's concurrency key has changed: its live occurrences get the key that they would have now, and lose their slots, which
-- `give_slots` gives out anew. Rows are locked in one order. $1 job id
with live as (
    select o.id, key_of(j.concurrency_key, o.payload) as key
    from job j
    join occurrence o on o.job_id = j.id
    where j.id = $1 and o.state in ('waiting', 'pending', 'running', 'cancelling', 'retrying')
      and o.backfill_id is null
    order by o.id
    for update of o
),
dropped as (
    delete from slot_of_last_release where job_id = $1 and key not like 'backfill:%'
)
update occurrence o set concurrency_key = live.key, slot = null
from live where o.id = live.id and (o.concurrency_key <> live.key or o.slot > 0)
