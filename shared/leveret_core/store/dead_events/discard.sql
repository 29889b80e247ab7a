-- Deletes one, and notes in the audit who did that and why. $1 id, $2 actor, $3 action (`discard_event` or `replay_event`)
with gone as (
    delete from dead_event where id = $1 returning id, kind, reason, worker_id, occurrence_id, attempt
)
insert into audit (actor, action, detail)
select $2::text, $3::text, jsonb_build_object(
    'dead_event', id, 'kind', kind, 'reason', reason, 'worker', worker_id, 'occurrence', occurrence_id, 'attempt', attempt
)
from gone
returning id
