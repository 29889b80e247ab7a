-- Plans runs for later. Each gets a free microsecond of its job from its due time on, off the full second, where ticks stand. What
-- met another there, or has a key that was used, is left out. Rows come in one order, so that no two transactions wait for each other.
-- $1 positions, $2 job ids, $3 payloads (null: the job's), $4 due times, $5 seconds from now, where there is no due time,
-- $6 priorities (null: the job's), $7 idempotency keys, $8 seconds after its due time in which a run looks for others
with wanted as (
    select w.*, d.due + case when date_part('microseconds', d.due)::bigint % 1000000 = 0 then interval '1 microsecond'
                             else interval '0' end as due
    from unnest($1::integer[], $2::bigint[], $3::text[], $4::timestamptz[], $5::double precision[], $6::smallint[], $7::text[])
        as w (position, job_id, payload, at, delay, priority, idempotency_key)
    cross join lateral (select greatest(now(), coalesce(w.at, now() + w.delay * interval '1 second')) as due) d
),
instant as (
    select i.job_id, i.due, coalesce((
        select max(o.scheduled_for) + interval '1 microsecond' from occurrence o
        where o.job_id = i.job_id and o.scheduled_for >= i.due and o.scheduled_for < i.due + $8 * interval '1 second'
    ), i.due) as free
    from (select distinct job_id, due from wanted) i
),
placed as materialized (
    select w.*, nextval(pg_get_serial_sequence('occurrence', 'id')) as id,
           i.free + (row_number() over (partition by w.job_id, w.due order by w.position) - 1) * interval '1 microsecond' as at_last
    from wanted w
    join instant i using (job_id, due)
),
made as (
    insert into occurrence (
        id, job_id, job_name, job_version, type, payload, origin, scheduled_for, idempotency_key, state, timeout, retry,
        concurrency_key, priority
    )
    overriding system value
    select p.id, j.id, j.name, j.version, j.type, coalesce(p.payload::jsonb, j.payload), 'manual',
           p.at_last + case when date_part('microseconds', p.at_last)::bigint % 1000000 = 0 then interval '500 microseconds'
                            else interval '0' end,
           p.idempotency_key, 'scheduled', j.timeout, j.retry,
           key_of(j.concurrency_key, coalesce(p.payload::jsonb, j.payload)), coalesce(p.priority, j.priority)
    from placed p
    join job j on j.id = p.job_id
    order by j.id, p.at_last
    on conflict do nothing
    returning id
)
select p.position, p.id from placed p join made using (id)
