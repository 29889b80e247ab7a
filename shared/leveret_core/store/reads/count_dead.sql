-- How many dead letters there are; $1 of them are counted, at most.
select count(*) from (
    select from occurrence where state in ('failed', 'timed_out') and resolution is null order by finished_at desc limit $1
) d
