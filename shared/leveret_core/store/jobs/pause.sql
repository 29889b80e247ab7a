-- No row: it is paused for that reason already. $1 id, $2 reason
update job
set paused_at = coalesce(paused_at, clock_timestamp()), pause_reason = $2, next_fire_at = null, updated_at = clock_timestamp()
where id = $1 and (paused_at is null or pause_reason is distinct from $2)
returning id
