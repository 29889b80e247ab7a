-- Keeps bytes from workers in quarantine. What is there already is not kept twice, and of one worker not more than $9, nor of those
-- together whose worker is not known. Returns
-- the names of those workers. $1 kinds, $2 reasons, $3 bytes, $4 sizes of the whole, $5 digests, $6 worker ids, $7 occurrences, $8 attempts
with e as (
    select *, row_number() over (partition by worker_id order by n) as nth
    from unnest($1::text[], $2::text[], $3::bytea[], $4::integer[], $5::bytea[], $6::uuid[], $7::bigint[], $8::integer[])
        with ordinality as e (kind, reason, body, size, digest, worker_id, occurrence_id, attempt, n)
), named as (
    select w.id, w.name from worker w where w.id in (select worker_id from e)
), had as (
    select s.worker_id, (
        select count(*) from dead_event d
        where d.worker_id = s.worker_id or (s.worker_id is null and d.worker_id is null)
    ) as count
    from (select distinct worker_id from e) s
), kept as (
    insert into dead_event (kind, reason, body, size, digest, worker_id, worker_name, occurrence_id, attempt)
    select e.kind, e.reason, e.body, e.size, e.digest, e.worker_id, named.name, e.occurrence_id, e.attempt
    from e
    join had on had.worker_id is not distinct from e.worker_id
    left join named on named.id = e.worker_id
    where e.nth + had.count <= $9
    order by e.n
    on conflict (digest) do nothing
)
select id, name from named
