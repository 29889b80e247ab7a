-- Slots that no live occurrence holds: there should be none, ever.
with found as (
    select s.occurrence_id, s.job_id, s.key from slot s
    where not exists (
        select from occurrence o
        where o.id = s.occurrence_id and o.state::text in ('pending', 'running', 'cancelling', 'retrying')
    )
),
freed as (
    update occurrence o set slot = -o.slot from found f where o.id = f.occurrence_id and o.slot > 0
),
deleted as (
    delete from slot_of_last_release s using found f where s.occurrence_id = f.occurrence_id
)
select occurrence_id, job_id, key from found
