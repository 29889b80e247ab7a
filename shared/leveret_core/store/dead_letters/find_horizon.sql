-- Where the scan of `find` ended. $1 ended after, $2 with an id above, $3 how many, $4 since, $5 until
select finished_at, id, scanned from (
    select finished_at, id, row_number() over (order by finished_at, id) as scanned from (
        select finished_at, id from occurrence
        where state in ('failed', 'timed_out') and resolution is null
          and (finished_at, id) > (coalesce($1::timestamptz, '-infinity'), coalesce($2::bigint, 0))
          and finished_at >= coalesce($4::timestamptz, '-infinity') and finished_at < coalesce($5::timestamptz, 'infinity')
        order by finished_at, id
        limit $3
    ) s
) n
order by scanned desc
limit 1
