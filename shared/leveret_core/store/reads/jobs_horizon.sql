-- Where the scan of `jobs` ended: the last id it looked at, and how many there were. $1 below, $2 how many
select min(id) as id, count(*) as scanned from (
    select id from job where deleted_at is null and id < coalesce($1::bigint, 9223372036854775807) order by id desc limit $2
) s
