-- Buckets that are full again, with an empty queue: a new one would be the same.
delete from rate_bucket b using rate_limit_by_key l
where l.type = b.type and b.ready_at is null
  and b.tokens + extract(epoch from clock_timestamp() - b.filled_at)::double precision * l.count / l.per >= l.count
