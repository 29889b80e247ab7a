-- Where the scan of `occurrences_ended` ended. $1 ended before, $2 with an id below, $3 how many, $4 since, $5 until
select finished_at, id, scanned from (
    select finished_at, id, row_number() over (order by finished_at desc, id desc) as scanned from (
        select finished_at, id from occurrence
        where finished_at >= coalesce($4::timestamptz, '-infinity') and finished_at < coalesce($5::timestamptz, 'infinity')
          and finished_at <= coalesce($1::timestamptz, 'infinity')
          and (finished_at, id) < (coalesce($1::timestamptz, 'infinity'), coalesce($2::bigint, 0))
        order by finished_at desc, id desc
        limit $3
    ) s
) n
order by scanned desc
limit 1
