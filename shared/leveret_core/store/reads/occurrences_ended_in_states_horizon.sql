-- Where the scan of `occurrences_ended_in_states` ended. $1 ended before, $2 with an id below, $3 how many, $4 since, $5 until, $6 states
select finished_at, id, scanned from (
    select finished_at, id, row_number() over (order by finished_at desc, id desc) as scanned from (
        select n.* from unnest($6::occurrence_state[]) as wanted (state)
        cross join lateral (
            select finished_at, id from occurrence
            where state = wanted.state and state <> 'succeeded'
              and finished_at >= coalesce($4::timestamptz, '-infinity') and finished_at < coalesce($5::timestamptz, 'infinity')
              and (finished_at, id) < (coalesce($1::timestamptz, 'infinity'), coalesce($2::bigint, 0))
            order by finished_at desc, id desc
            limit $3
        ) n
        order by n.finished_at desc, n.id desc
        limit $3
    ) s
) n
order by scanned desc
limit 1
