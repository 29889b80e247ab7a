-- Gives slots to the live occurrences of a job that had none because it allowed any number; they may be more than there are places,
-- and nothing new begins before enough of them have ended. $1 job id
with live as (
    select id, concurrency_key from occurrence
    where job_id = $1 and state in ('pending', 'running', 'cancelling', 'retrying') and backfill_id is null
      and id not in (select occurrence_id from slot where job_id = $1)
    order by id
    for update
),
given as (
    select id, coalesce((select max(s.n) from slot s where s.job_id = $1 and s.key = concurrency_key), 0)
               + row_number() over (partition by concurrency_key order by id) as slot
    from live
)
update occurrence o set slot = given.slot from given where o.id = given.id
