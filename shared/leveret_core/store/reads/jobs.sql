-- A page of jobs, newest first: the first $2 that pass the filters among the $3 below the id $1. A page of large payloads ends
-- early: `found` then tells how many it could have had. $4 type, $5 tag, $6 paused, $7 pattern for ilike, $8 served, by the
-- types that $9 finds; null passes all
with page as (
    select id, octet_length(payload::text) as size from (
        select * from job
        where deleted_at is null and id < coalesce($1::bigint, 9223372036854775807)
        order by id desc
        limit $3
    ) scanned
    where ($4::text is null or type = $4)
      and ($5::text is null or $5 = any(tags))
      and ($6::boolean is null or (paused_at is not null) = $6)
      and ($7::text is null or name ilike $7 or type ilike $7 or description ilike $7)
      and ($8::boolean is null or (('.' || type) ~ $9::text) = $8)
    order by id desc
    limit $2
),
fitting as (
    select id, coalesce(sum(size) over (order by id desc rows between unbounded preceding and 1 preceding), 0) as before from page
)
select j.id, j.name, j.type, j.description, j.tags, j.payload, j.trigger, j.concurrency, j.max_concurrent, j.max_waiting, j.catch_up,
       j.catch_up_window, j.timeout, j.retry, j.max_runs, j.runs, j.concurrency_key,
       j.priority, j.disable_after, j.failures, j.declaration, j.import_source, j.version, j.paused_at, j.pause_reason, j.next_fire_at, j.last_fire_at,
       j.created_at, j.updated_at, last.id as last_id, last.state as last_state, last.scheduled_for as last_scheduled_for,
       last.finished_at as last_finished_at, (select count(*) from page) as found
from fitting f
join job j on j.id = f.id
left join lateral (
    select o.id, o.state, o.scheduled_for, o.finished_at from occurrence o
    where o.job_id = j.id and o.scheduled_for <= now() and o.state <> 'scheduled'
    order by o.scheduled_for desc
    limit 1
) last on true
where f.before < 4194304
order by j.id desc
