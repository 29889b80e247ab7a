select type, count, per from rate_limit order by type
