-- Dispatch messages that were not answered in time, and those whose first publishing was deferred. The wait doubles each
-- time, so that a long backlog is not published again and again. $1 how many, $2 seconds until they are published again
update occurrence o
set ring_at = now() + least(3600, $2 * 2 ^ least(o.rings, 10)) * interval '1 second', rings = o.rings + 1
where o.id in (
    select id from occurrence where state = 'pending' and ring_at is not null and ring_at <= now()
    order by ring_at limit $1 for update skip locked
)
returning o.id, o.type, o.attempt, o.priority, o.rings
