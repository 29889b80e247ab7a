-- Of each value whose time has come as many as its tokens pay for, those of the highest priority first, the oldest of these first; no
-- more than `count` of a value are told and not yet begun. Says for each of these values when its next one may start.
-- $1 type, $2 how many, $3 seconds until they are published again
with ready as materialized (
    select b.key, l.count, l.per / l.count as seconds_each,
           least(l.count, b.tokens + greatest(0, extract(epoch from statement_timestamp() - b.filled_at)::double precision)
                                     * l.count / l.per) as tokens
    from rate_bucket b
    join rate_limit_by_key l on l.type = b.type
    where b.type = $1 and b.ready_at <= statement_timestamp()
    order by b.ready_at
    limit 1000
    for update of b
),
place as materialized (
    select r.key, r.tokens, r.seconds_each, r.count - (
        select count(*) from rate_line n
        join occurrence o on o.id = n.occurrence_id and o.state::text = 'pending' and o.rings > 0
        where n.type = $1 and n.key = r.key and n.told
    ) as places
    from ready r
),
head as materialized (
    select h.occurrence_id, h.priority, p.key
    from place p
    cross join lateral (
        select n.occurrence_id, n.priority from rate_line n
        join occurrence o on o.id = n.occurrence_id and o.state::text = 'pending' and o.ring_at = 'infinity'
        where n.type = $1 and n.key = p.key and not n.told
        order by n.priority desc, n.occurrence_id
        limit greatest(0, least(floor(p.tokens)::bigint, p.places))
    ) h
),
published as (
    update occurrence o set ring_at = statement_timestamp() + $3 * interval '1 second', rings = o.rings + 1
    from (select * from head order by priority desc, occurrence_id limit $2) c
    where o.id = c.occurrence_id and o.state::text = 'pending' and o.ring_at = 'infinity'
    returning o.id, o.type, o.attempt, o.priority, c.key
),
told as (
    update rate_line n set told = true from published d where n.occurrence_id = d.id
),
spent as (
    update rate_bucket b
    set tokens = p.tokens - n.published, filled_at = statement_timestamp(),
        ready_at = case
            when not exists (
                select from rate_line l
                join occurrence o on o.id = l.occurrence_id and o.state::text = 'pending' and o.ring_at = 'infinity'
                where l.type = $1 and l.key = p.key and not l.told and l.occurrence_id not in (select id from published)
            ) then null
            when n.published < n.heads then statement_timestamp()
            else statement_timestamp() + interval '1 second' * greatest(
                (1 - p.tokens + n.published) * p.seconds_each,
                -- No message tells when one of them is claimed.
                case when n.published >= p.places then greatest(p.seconds_each, 0.2) else 0.05 end
            )
        end
    from place p
    cross join lateral (
        select (select count(*) from published d where d.key = p.key) as published,
            (select count(*) from head where head.key = p.key) as heads
    ) n
    where b.type = $1 and b.key = p.key
)
select id, type, attempt, priority from published
