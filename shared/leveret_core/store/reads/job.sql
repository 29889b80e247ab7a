-- A job as users see it. $1 id
select j.id, j.name, j.type, j.description, j.tags, j.payload, j.trigger, j.concurrency, j.max_concurrent, j.max_waiting, j.catch_up,
       j.catch_up_window, j.timeout, j.retry, j.max_runs, j.runs, j.concurrency_key,
       j.priority, j.disable_after, j.failures, j.declaration, j.import_source, j.version, j.paused_at, j.pause_reason, j.next_fire_at, j.last_fire_at,
       j.created_at, j.updated_at, last.id as last_id, last.state as last_state, last.scheduled_for as last_scheduled_for,
       last.finished_at as last_finished_at
from job j
left join lateral (
    select o.id, o.state, o.scheduled_for, o.finished_at from occurrence o
    where o.job_id = j.id and o.scheduled_for <= now() and o.state <> 'scheduled'
    order by o.scheduled_for desc
    limit 1
) last on true
where j.id = $1 and j.deleted_at is null
