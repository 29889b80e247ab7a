-- Creates occurrences from their jobs as these are now; the caller holds the jobs' locks. Existing ones are left alone.
-- $1 job ids, $2 scheduled_for, $3 origins, $4 states, $5 reasons, $6 blockers, $7 payloads (null: the job's), $8 idempotency keys,
-- $9 requeue_of, $10 missed counts, $11 missed until, $12 seconds until the publisher publishes (null: no worker has been told),
-- $13 times published, $14 concurrency keys, $15 priorities (null: the job's), $16 backfills, $17 slots (null: none), $18 epoch
insert into occurrence (
    job_id, job_name, job_version, type, payload, origin, scheduled_for, idempotency_key, requeue_of, state, reason, blocker_id,
    missed_count, missed_until, timeout, retry, ring_at, rings, concurrency_key, priority, backfill_id, slot, epoch, finished_at
)
select
    j.id, j.name, j.version, j.type, coalesce(p.payload::jsonb, j.payload), p.origin, p.scheduled_for, p.idempotency_key,
    p.requeue_of, p.state::occurrence_state, p.reason, p.blocker_id, p.missed_count, p.missed_until, j.timeout, j.retry,
    now() + p.publish_in * interval '1 second', p.rings, p.concurrency_key, coalesce(p.priority, j.priority),
    p.backfill_id, p.slot, $18,
    case when p.state in ('skipped', 'missed') then now() end
from unnest(
    $1::bigint[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::bigint[],
    $10::integer[], $11::timestamptz[], $12::double precision[], $13::integer[],
    $14::text[], $15::smallint[], $16::bigint[], $17::integer[]
) with ordinality as p (
    job_id, scheduled_for, origin, state, reason, blocker_id, payload, idempotency_key, requeue_of, missed_count, missed_until,
    publish_in, rings, concurrency_key, priority, backfill_id, slot, position
)
join job j on j.id = p.job_id
order by p.position
on conflict do nothing
returning id, job_id, scheduled_for, type, state::text, rings
