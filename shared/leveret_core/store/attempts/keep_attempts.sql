-- Copies attempts that are not the last to `attempt`, before their rows are used again.
-- $1 ids, $2 how they ended, $3 errors (JSON text)
insert into attempt (occurrence_id, attempt, state, worker_id, started_at, finished_at, error)
select o.id, o.attempt, e.outcome, o.worker_id, o.started_at, now(), e.error::jsonb
from unnest($1::bigint[], $2::text[], $3::text[]) as e (id, outcome, error)
join occurrence o on o.id = e.id
on conflict do nothing
