-- These occurrences, in no order. $1 ids
select o.id, o.job_id, o.job_name, o.job_version, o.type, o.origin, o.scheduled_for, o.state, o.reason, o.blocker_id, o.missed_count,
       o.missed_until, o.attempt, coalesce((o.retry ->> 'max_attempts')::integer, 3) as max_attempts, o.lost_count, o.worker_id,
       w.name as worker_name, o.progress, o.created_at, o.started_at, o.finished_at,
       extract(epoch from o.finished_at - o.started_at)::double precision as duration, o.retry_at, o.requeue_of,
       o.concurrency_key, o.priority, o.backfill_id, o.resolution,
       case when o.error is not null then jsonb_build_object(
           'type', left(o.error ->> 'type', 200), 'message', left(split_part(o.error ->> 'message', E'\n', 1), 300)
       ) end as error
from occurrence o
left join worker w on w.id = o.worker_id
where o.id = any($1::bigint[])
