-- Ids grow with time, so that the oldest stand first. $1 days, $2 how many
delete from dead_event where id in (
    select id from (select id, at from dead_event order by id limit $2) oldest where at < now() - $1 * interval '1 day'
)
