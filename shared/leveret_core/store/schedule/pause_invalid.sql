-- Pauses a job whose trigger cannot be evaluated, so that it stops no other. $1 id, $2 reason
update job set next_fire_at = null, paused_at = now(), pause_reason = $2, updated_at = now() where id = $1
