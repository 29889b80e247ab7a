-- As `occurrences`, for states $5 other than succeeded, each read from its own end of the index.
-- $1 below, $2 how many, $3 scanned at most, $4 expression for the type behind a dot, $5 states, $6 worker,
-- $7 pattern for ilike; null passes all
with page as (
    select s.id from (
        select n.* from unnest($5::occurrence_state[]) as wanted (state)
        cross join lateral (
            select id, type, state, worker_id from occurrence
            where state = wanted.state and state <> 'succeeded' and id < coalesce($1::bigint, 9223372036854775807)
            order by id desc
            limit $3
        ) n
        order by n.id desc
        limit $3
    ) s
    where ($4::text is null or '.' || s.type ~ $4)
      and ($5::occurrence_state[] is null or s.state = any($5))
      and ($6::uuid is null or s.worker_id = $6)
      and ($7::text is null or exists (
          select from occurrence e
          where e.id = s.id and (e.error ->> 'type' ilike $7 or e.error ->> 'message' ilike $7 or e.reason ilike $7)
      ))
    order by s.id desc
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
