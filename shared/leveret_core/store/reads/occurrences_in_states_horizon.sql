-- Where the scan of `occurrences_in_states` ended. $1 below, $2 how many, $3 states
select min(id) as id, count(*) as scanned from (
    select n.* from unnest($3::occurrence_state[]) as wanted (state)
    cross join lateral (
        select id from occurrence
        where state = wanted.state and state <> 'succeeded' and id < coalesce($1::bigint, 9223372036854775807)
        order by id desc
        limit $2
    ) n
    order by n.id desc
    limit $2
) s
