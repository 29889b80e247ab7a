-- As `occurrences_ended`, for states $6 other than succeeded, each read from its own end of the index.
-- $1 ended before, $2 with an id below, $3 how many, $4 scanned at most, $5 expression for the type behind a dot, $6 states, $7 worker,
-- $8 pattern for ilike, $9 since, $10 until; null passes all
with page as (
    select s.id, s.finished_at from (
        select n.* from unnest($6::occurrence_state[]) as wanted (state)
        cross join lateral (
            select id, finished_at, type, state, worker_id from occurrence
            where state = wanted.state and state <> 'succeeded'
              and finished_at >= coalesce($9::timestamptz, '-infinity') and finished_at < coalesce($10::timestamptz, 'infinity')
              and (finished_at, id) < (coalesce($1::timestamptz, 'infinity'), coalesce($2::bigint, 0))
            order by finished_at desc, id desc
            limit $4
        ) n
        order by n.finished_at desc, n.id desc
        limit $4
    ) s
    where ($5::text is null or '.' || s.type ~ $5)
      and ($6::occurrence_state[] is null or s.state = any($6))
      and ($7::uuid is null or s.worker_id = $7)
      and ($8::text is null or exists (
          select from occurrence e
          where e.id = s.id and (e.error ->> 'type' ilike $8 or e.error ->> 'message' ilike $8 or e.reason ilike $8)
      ))
    order by s.finished_at desc, s.id desc
    limit $3
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
order by o.finished_at desc, o.id desc
