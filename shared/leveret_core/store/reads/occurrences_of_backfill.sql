-- As `occurrences`, of the backfill $6, each state read from its own end of the index.
-- $1 below, $2 how many, $3 expression for the type behind a dot, $4 states, $5 worker, $7 job, $8 pattern for ilike,
-- $9 ended since, $10 ended until; null passes all
with page as (
    select n.id from unnest($4::occurrence_state[]) as wanted (state)
    cross join lateral (
        select id from occurrence
        where backfill_id = $6 and state = wanted.state and id < coalesce($1::bigint, 9223372036854775807)
          and ($3::text is null or '.' || type ~ $3)
          and ($5::uuid is null or worker_id = $5)
          and ($7::bigint is null or job_id = $7)
          and ($8::text is null or error ->> 'type' ilike $8 or error ->> 'message' ilike $8 or reason ilike $8)
          and ($9::timestamptz is null or finished_at >= $9)
          and ($10::timestamptz is null or finished_at < $10)
        order by id desc
        limit $2
    ) n
    order by n.id desc
    limit $2
)
select o.id, o.job_id, o.job_name, o.job_version, o.type, o.origin, o.scheduled_for, o.state, o.reason, o.blocker_id, o.missed_count,
       o.missed_until, o.attempt, coalesce((o.retry ->> 'max_attempts')::integer, 3) as max_attempts, o.lost_count, o.worker_id,
       w.name as worker_name, o.progress, o.created_at, o.started_at, o.finished_at,
       extract(epoch from o.finished_at - o.started_at)::double precision as duration, o.retry_at, o.requeue_of,
       o.concurrency_key, o.priority, o.backfill_id, o.resolution,
       case when o.error is not null then jsonb_build_object(
           'type', left(o.error ->> 'type', 200), 'message', left(split_part(o.error ->> 'message', E'\n', 1), 300)
       ) end as error
from page p
join occurrence o on o.id = p.id
left join worker w on w.id = o.worker_id
order by o.id desc
