-- Gives attempts to workers: the compare-and-set that everything else leans on.
-- $1 worker ids, $2 occurrence ids, $3 attempts
with ask as (
    select * from unnest($1::uuid[], $2::bigint[], $3::integer[]) as a (worker_id, id, attempt)
),
-- Shared, so that a worker that is being declared lost gets nothing more.
live as (
    select w.id from worker w
    where w.id in (select worker_id from ask) and w.stopped_at is null
    order by w.id
    for share
),
free as (
    select o.id from occurrence o
    where o.id in (select id from ask) and o.state = 'pending'
    order by o.id
    for update skip locked
)
update occurrence o
set state = 'running', attempt = ask.attempt, worker_id = ask.worker_id, claim_token = gen_random_uuid(), seq = 0,
    started_at = now(), progress = null, error = null, reason = null
from ask
join live on live.id = ask.worker_id
join free on free.id = ask.id
where o.id = ask.id and o.state = 'pending' and o.attempt + 1 = ask.attempt
returning o.id
