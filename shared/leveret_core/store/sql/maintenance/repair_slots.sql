-- Slots of occurrences that are final: there should be none, ever.
delete from slot s using occurrence o
where o.id = s.occurrence_id and o.state in ('succeeded', 'failed', 'timed_out', 'cancelled', 'skipped', 'missed')
returning s.occurrence_id, s.job_id, s.key
