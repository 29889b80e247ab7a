-- All of a job's concurrency queue is admitted: from now on it allows any number. The queues of its backfills are apart. $1 job id
update occurrence set state = 'pending', reason = null, ring_at = null where job_id = $1 and state = 'waiting'
  and backfill_id is null
