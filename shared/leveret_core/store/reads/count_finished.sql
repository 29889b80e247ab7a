-- How the occurrences of the last hour ended; with more than $1, the newest $1 of them, and since when those are.
select state, count(*) as count, min(finished_at) as since, sum(count(*)) over () as total from (
    select state, finished_at from occurrence
    where finished_at > now() - interval '1 hour'
    order by finished_at desc
    limit $1
) recent
group by state
