-- Marks unpublished occurrences of a type as published, those of the highest priority first, the oldest of these first.
-- $1 type, $2 how many, $3 seconds until they are published again
update occurrence o set ring_at = now() + $3 * interval '1 second', rings = o.rings + 1
where o.id in (
    select id from occurrence where state = 'pending' and ring_at is null and type = $1
    order by priority desc, id limit $2 for update skip locked
)
returning o.id, o.type, o.attempt, o.priority
