-- liveness/unpublished_types
-- Types with occurrences that no worker was told of although no dispatch message of the type is out and no limit holds them back: the first of
-- each. Where a live worker serves the type that lasts for a moment.
with recursive t (type) as (
    (select type from occurrence where state = 'pending' and ring_at is null order by type limit 1)
    union all
    select (
        select o.type from occurrence o where o.state = 'pending' and o.ring_at is null and o.type > t.type order by o.type limit 1
    )
    from t where t.type is not null
),
published as materialized (
    select distinct type from occurrence where state = 'pending' and ring_at is not null and ring_at < 'infinity' and rings > 0
)
select t.type, first.id, first.job_id
from t
left join rate_limit r on r.type = t.type
cross join lateral (
    select o.id, o.job_id from occurrence o
    where o.state = 'pending' and o.ring_at is null and o.type = t.type
    order by o.priority desc, o.id limit 1
) first
where t.type is not null and t.type not in (select type from published)
  and (r.type is null or r.tokens + greatest(0, extract(epoch from now() - r.filled_at)::double precision) * r.count / r.per >= 1)
