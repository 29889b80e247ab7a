-- What stands between a pending occurrence and a worker, as far as the tables know it; no row when it is not pending.
-- $1 id, $2 unanswered dispatch messages of a type at most, $3 patterns of handlers that match its type
select o.type, o.rings > 0 and o.ring_at is not null as told,
       case when o.rings = 0 and o.ring_at > now() and o.ring_at < 'infinity' then o.ring_at end as deferred_until,
       l.count, l.per,
       k.count as key_count, k.per as key_per, k.key as key_path, n.key as key_value, b.ready_at as key_ready_at,
       o.ring_at = 'infinity' as in_queue,
       (select count(*) from (
           select from occurrence r
           where r.state = 'pending' and r.ring_at is not null and r.ring_at < 'infinity' and r.rings > 0 and r.type = o.type
           limit $2
       ) out) as unanswered,
       w.workers, w.free
from occurrence o
left join rate_limit l on l.type = o.type
left join rate_limit_by_key k on k.type = o.type
left join rate_line n on n.occurrence_id = o.id
left join rate_bucket b on b.type = n.type and b.key = n.key
cross join lateral (
    select count(*) as workers, count(*) filter (where state = 'alive' and running < concurrency) as free
    from worker
    where stopped_at is null
      and exists (select from jsonb_array_elements(handlers) h where h ->> 'pattern' = any($3::text[]))
) w
where o.id = $1 and o.state = 'pending'
