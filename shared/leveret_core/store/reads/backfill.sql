-- A backfill with how its occurrences stand. $1 id
select b.id, b.job_id, b.job_name, b.start_at, b.end_at, b.concurrency, b.max_concurrent, b.payload::text, b.state, b.reason, b.total,
       b.created, b.existing, b.created_at, b.finished_at, c.counts::text
from backfill b
cross join lateral (
    select coalesce(jsonb_object_agg(s.state, s.n), '{}') as counts
    from (select o.state, count(*) as n from occurrence o where o.backfill_id = b.id group by o.state) s
) c
where b.id = $1
