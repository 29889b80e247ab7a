-- A page of dead letters, the last to end first: the first $3 that pass the filters among the $4 that ended before ($1, $2).
-- $5 job, $6 type, $7 pattern for ilike, $8 since, $9 until; null passes all
with page as (
    select s.id, s.finished_at from (
        select id, finished_at, job_id, type from occurrence
        where state in ('failed', 'timed_out') and resolution is null
          and (finished_at, id) < (coalesce($1::timestamptz, 'infinity'), coalesce($2::bigint, 0))
          and finished_at >= coalesce($8::timestamptz, '-infinity') and finished_at < coalesce($9::timestamptz, 'infinity')
        order by finished_at desc, id desc
        limit $4
    ) s
    where ($5::bigint is null or s.job_id = $5)
      and ($6::text is null or s.type = $6)
      and ($7::text is null or exists (
          select from occurrence e
          where e.id = s.id and (e.error ->> 'type' ilike $7 or e.error ->> 'message' ilike $7 or e.reason ilike $7)
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
           'type', o.error ->> 'type', 'message', left(o.error ->> 'message', 2000), 'traceback', ''
       ) end as error
from page p
join occurrence o on o.id = p.id
left join worker w on w.id = o.worker_id
order by o.finished_at desc, o.id desc
