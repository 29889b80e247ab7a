-- The whole line of a job begins: from now on it allows any number. Lines of backfills are none of its own. $1 job id
update occurrence set state = 'pending', reason = null, ring_at = null where job_id = $1 and state = 'waiting'
  and backfill_id is null
