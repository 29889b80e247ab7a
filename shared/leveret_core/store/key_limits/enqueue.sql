-- Puts occurrences that no worker was told of into the queues of their values, out of the way of the publisher's other looks. Those that
-- were told once and did not reach a queue have had their token. $1 type, $2 path, $3 how many
with taken as (
    update occurrence o set ring_at = 'infinity'
    where o.id in (
        select id from occurrence where state = 'pending' and ring_at is null and type = $1 and rings = 0
        order by priority desc, id limit $3 for update skip locked
    )
    returning o.id, key_of($2, o.payload) as key, o.priority
),
lined as (
    insert into rate_line (occurrence_id, type, key, priority)
    select id, $1, key, priority from taken
    on conflict (occurrence_id) do update set type = excluded.type, key = excluded.key, priority = excluded.priority, told = false
),
buckets as (
    insert into rate_bucket as b (type, key, tokens, filled_at, ready_at)
    select $1, t.key, l.count, statement_timestamp(), statement_timestamp()
    from (select distinct key from taken) t
    join rate_limit_by_key l on l.type = $1
    order by t.key
    on conflict (type, key) do update set ready_at = coalesce(b.ready_at, excluded.ready_at)
)
select count(*) from taken
