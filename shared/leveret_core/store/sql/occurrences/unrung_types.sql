-- The types that have occurrences nobody was told about: a skip scan, so that a long backlog of one type costs no more.
with recursive t (type) as (
    (select type from occurrence where state = 'pending' and ring_at is null order by type limit 1)
    union all
    select (
        select o.type from occurrence o where o.state = 'pending' and o.ring_at is null and o.type > t.type order by o.type limit 1
    )
    from t where t.type is not null
)
select type from t where type is not null
