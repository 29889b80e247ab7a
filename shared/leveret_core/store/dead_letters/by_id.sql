-- Those of the occurrences that are dead letters, the first to end first. $1 ids, $2 whether their job has to exist
select o.id, o.finished_at, o.job_id, o.concurrency_key from occurrence o
where o.id = any($1::bigint[]) and o.state in ('failed', 'timed_out') and o.resolution is null
  and (not $2 or exists (select from job j where j.id = o.job_id and j.deleted_at is null))
order by o.finished_at, o.id
