-- An occurrence with everything known about it. $1 id
select o.id, o.job_id, o.job_name, o.job_version, o.type, o.origin, o.scheduled_for, o.state, o.reason, o.blocker_id, o.missed_count,
       o.missed_until, o.attempt, coalesce((o.retry ->> 'max_attempts')::integer, 3) as max_attempts, o.lost_count, o.worker_id,
       w.name as worker_name, o.progress, o.created_at, o.started_at, o.finished_at,
       extract(epoch from o.finished_at - o.started_at)::double precision as duration, o.retry_at, o.requeue_of,
       o.concurrency_key, o.priority, o.backfill_id, o.resolution,
       o.snoozed_count, o.checkpoint, o.payload, o.result, o.error, o.idempotency_key, o.ring_at is not null and o.rings > 0 as rung,
       (select max(r.id) from occurrence r where r.requeue_of = o.id) as requeued_as
from occurrence o
left join worker w on w.id = o.worker_id
where o.id = $1
