-- A page of backfills, newest first. $1 below the id, $2 how many, $3 job, $4 state; null passes all
select b.id, b.job_id, b.job_name, b.start_at, b.end_at, b.concurrency, b.max_concurrent, b.payload::text, b.state, b.reason, b.total,
       b.created, b.existing, b.created_at, b.finished_at, c.counts::text
from (
    select * from backfill
    where id < coalesce($1::bigint, 9223372036854775807)
      and ($3::bigint is null or job_id = $3)
      and ($4::text is null or state = $4)
    order by id desc
    limit $2
) b
cross join lateral (
    select coalesce(jsonb_object_agg(s.state, s.n), '{}') as counts
    from (select o.state, count(*) as n from occurrence o where o.backfill_id = b.id group by o.state) s
) c
order by b.id desc
