select type, key, count, per from rate_limit_by_key order by type
