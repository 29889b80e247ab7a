-- $1 id, $2 next_fire_at
update job set paused_at = null, pause_reason = null, failures = 0, next_fire_at = $2, updated_at = clock_timestamp() where id = $1
