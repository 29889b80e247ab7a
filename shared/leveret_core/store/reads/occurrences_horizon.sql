-- Where the scan of `occurrences` ended. $1 below, $2 how many
select min(id) as id, count(*) as scanned from (
    select id from occurrence where id < coalesce($1::bigint, 9223372036854775807) order by id desc limit $2
) s
