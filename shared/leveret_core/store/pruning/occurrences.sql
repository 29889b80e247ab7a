-- Deletes final occurrences past their time, a bounded number at once. $1 days, $2 how many
delete from occurrence where id in (
    select id from occurrence where finished_at < now() - $1 * interval '1 day' order by finished_at limit $2
)
