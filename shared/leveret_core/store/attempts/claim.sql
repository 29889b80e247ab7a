-- Gives attempts to workers: the compare-and-set that everything else leans on. The asks come sorted by occurrence, so that two
-- desks lock rows in the same order. `state::text` keeps the planner off the index by state, behind which a long backlog may lie:
-- each ask is one look-up by primary key. That the worker serves the type is looked at before.
-- $1 worker ids, $2 occurrence ids, $3 attempts, $4 types
with live as (
    -- Shared, so that a worker that is being declared lost gets nothing more.
    select w.id from worker w
    where w.id = any($1::uuid[]) and w.stopped_at is null
    order by w.id
    for share
)
update occurrence o
set state = 'running', attempt = ask.attempt, worker_id = ask.worker_id, claim_token = gen_random_uuid(), seq = 0,
    started_at = now(), progress = null, error = null, reason = null
from unnest($1::uuid[], $2::bigint[], $3::integer[], $4::text[]) as ask (worker_id, id, attempt, type)
join live on live.id = ask.worker_id
where o.id = ask.id and o.state::text = 'pending' and o.attempt + 1 = ask.attempt and o.type = ask.type
returning o.id, o.state::text, o.attempt, o.worker_id, o.claim_token, o.type, o.job_name, o.job_id, o.job_version,
    o.payload::text, o.scheduled_for, o.timeout, o.retry::text, o.checkpoint::text
