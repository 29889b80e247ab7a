-- $1 ids, $2 new states, $3 seconds until the retry, $4 reasons, $5 errors (JSON text), $6 lost (0 or 1), $7 released (0 or 1),
-- $8 seconds the attempt took (null: until now), $9 snoozed (0 or 1)
update occurrence o
set state = e.state::occurrence_state,
    retry_at = case when e.state = 'retrying' then now() + e.delay * interval '1 second' end,
    ring_at = null,
    rings = 0,
    reason = coalesce(e.reason, o.reason),
    error = coalesce(e.error::jsonb, o.error),
    lost_count = o.lost_count + e.lost,
    released_count = o.released_count + e.released,
    snoozed_count = o.snoozed_count + e.snoozed,
    slot = case when e.state in ('retrying', 'pending') then o.slot else -o.slot end,
    claim_token = case when e.state in ('retrying', 'pending') then null else o.claim_token end,
    finished_at = case when e.state not in ('retrying', 'pending')
        then greatest(o.started_at, least(now(), coalesce(o.started_at + e.duration * interval '1 second', now()))) end
from unnest(
    $1::bigint[], $2::text[], $3::double precision[], $4::text[], $5::text[], $6::integer[], $7::integer[], $8::double precision[],
    $9::integer[]
) as e (id, state, delay, reason, error, lost, released, duration, snoozed)
where o.id = e.id and o.state::text in ('running', 'cancelling')
returning o.id, o.state::text, o.job_id, o.concurrency_key as key, o.slot < 0 as freed
