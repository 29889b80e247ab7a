-- A lease that a clock ahead of now wrote lasts as long as it was to last, from now on.
update worker set lease_until = now() + (lease_until - heartbeat_at), heartbeat_at = now()
where stopped_at is null and heartbeat_at > now()
