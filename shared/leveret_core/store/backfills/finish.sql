-- $1 id, $2 state, $3 reason
update backfill set state = $2, reason = $3, finished_at = clock_timestamp() where id = $1 and state = 'running'
