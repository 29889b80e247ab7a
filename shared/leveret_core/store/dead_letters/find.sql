-- Dead letters, the first to end first: the first $3 that pass the filters among the $4 that ended after ($1, $2).
-- $5 job, $6 type, $7 pattern for ilike, $8 since, $9 until; null passes all. $10 whether their job has to exist, $11 jobs to leave out
select s.id, s.finished_at, s.job_id, o.concurrency_key
from (
    select id, finished_at, job_id, type from occurrence
    where state in ('failed', 'timed_out') and resolution is null
      and (finished_at, id) > (coalesce($1::timestamptz, '-infinity'), coalesce($2::bigint, 0))
      and finished_at >= coalesce($8::timestamptz, '-infinity') and finished_at < coalesce($9::timestamptz, 'infinity')
    order by finished_at, id
    limit $4
) s
join occurrence o on o.id = s.id
where ($5::bigint is null or s.job_id = $5)
  and ($6::text is null or s.type = $6)
  and ($7::text is null or o.error ->> 'type' ilike $7 or o.error ->> 'message' ilike $7 or o.reason ilike $7)
  and (not $10 or exists (select from job j where j.id = s.job_id and j.deleted_at is null))
  and s.job_id <> all($11::bigint[])
order by s.finished_at, s.id
limit $3
