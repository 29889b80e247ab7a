-- Gives slots to the live occurrences of a job that had none because it allowed any number; they may be more than there are places,
-- and nothing new begins before enough of them have ended. $1 job id
with live as (
    select id, concurrency_key from occurrence
    where job_id = $1 and state in ('pending', 'running', 'cancelling', 'retrying') and backfill_id is null
      and id not in (select occurrence_id from slot where job_id = $1)
    order by id
    for update
)
insert into slot (job_id, key, n, occurrence_id)
select $1, concurrency_key,
       coalesce((select max(s.n) from slot s where s.job_id = $1 and s.key = concurrency_key), 0)
           + row_number() over (partition by concurrency_key order by id),
       id
from live
