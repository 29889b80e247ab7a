-- Keeps the latest of each of these workers, and the latest of all unknown workers together.
-- $1 worker ids, $2 how many of a worker, $3 how many of the unknown
with looked_at as (
    select f.worker_id, f.kind, f.reason, f.last_at, w.id as known
    from refusal f left join worker w on w.id = f.worker_id
    where f.worker_id = any($1::uuid[]) or w.id is null
),
counted as (
    select worker_id, kind, reason, known,
           row_number() over (partition by known order by last_at desc, kind, reason) as n
    from looked_at
)
delete from refusal f using counted c
where f.worker_id = c.worker_id and f.kind = c.kind and f.reason = c.reason
  and c.n > case when c.known is null then $3::bigint else $2::bigint end
