-- dispatch/to_publish
-- What the publisher has to know, in one look, whose cost depends on the number of types and limits alone: the types with occurrences
-- that no worker was told of (`unpublished`; a skip scan, so that a long backlog of one type costs no more), the types whose starts
-- are limited (`limited`), for each value of a key (`keyed`, with the seconds until the next of its queue may start; null when none
-- waits), and seconds until the next message has to be published again (`next`; null when none is out).
with recursive t (type) as (
    (select type from occurrence where state = 'pending' and ring_at is null order by type limit 1)
    union all
    select (
        select o.type from occurrence o where o.state = 'pending' and o.ring_at is null and o.type > t.type order by o.type limit 1
    )
    from t where t.type is not null
)
select 'unpublished' as what, type, null::double precision as value from t where type is not null
union all
select 'limited', type, null from rate_limit
union all
select 'keyed', l.type, (
    select extract(epoch from min(b.ready_at) - now())::double precision from rate_bucket b
    where b.type = l.type and b.ready_at is not null
)
from rate_limit_by_key l
union all
select 'next', null, extract(epoch from min(ring_at) - now())::double precision
from occurrence where state = 'pending' and ring_at is not null and ring_at < 'infinity'
