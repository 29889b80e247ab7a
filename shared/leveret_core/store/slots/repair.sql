-- Slots that no live occurrence holds: there should be none, ever.
delete from slot s
where not exists (
    select from occurrence o
    where o.id = s.occurrence_id and o.state::text in ('pending', 'running', 'cancelling', 'retrying')
)
returning s.occurrence_id, s.job_id, s.key
