-- What a worker got wrong, the latest first: requests that were refused, and events that were quarantined. $1 id, $2 how many
select kind, reason, count, first_at, last_at from (
    select kind, reason, count, first_at, last_at from refusal where worker_id = $1
    union all
    select 'event', reason, count(*), min(at), max(at) from dead_event where worker_id = $1 group by reason
) as mistakes
order by last_at desc, kind, reason
limit $2
