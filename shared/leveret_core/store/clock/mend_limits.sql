-- Buckets are filled from now on: one that was filled in the future would get no token until then.
update rate_limit set filled_at = clock_timestamp() where filled_at > clock_timestamp()
