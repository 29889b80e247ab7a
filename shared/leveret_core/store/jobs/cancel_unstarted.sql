-- Cancels what has not begun of a job, and gives its slots back. Rows are locked in one order. $1 job id, $2 reason
with unstarted as (
    select id from occurrence
    where job_id = $1 and state in ('scheduled', 'waiting', 'pending', 'retrying')
    order by id
    for update
),
cancelled as (
    update occurrence o
    set state = 'cancelled', reason = $2, retry_at = null, slot = -o.slot, finished_at = clock_timestamp()
    from unstarted u
    where o.id = u.id and o.state in ('scheduled', 'waiting', 'pending', 'retrying')
    returning o.id
),
freed as (
    delete from slot_of_last_release s using cancelled c where s.occurrence_id = c.id
)
select count(*) from cancelled
