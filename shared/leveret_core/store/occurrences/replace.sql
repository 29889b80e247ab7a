-- Newer occurrences take the place of older ones: what runs is told to stop, what does not is cancelled at once. The caller holds the
-- rows' locks. $1 ids, $2 the occurrence that replaces each
update occurrence o
set state = case when o.state = 'running' then 'cancelling' else 'cancelled' end::occurrence_state,
    reason = 'replaced by occurrence ' || p.by,
    blocker_id = p.by,
    retry_at = null,
    slot = case when o.state = 'running' then o.slot else -o.slot end,
    finished_at = case when o.state = 'running' then null else now() end
from unnest($1::bigint[], $2::bigint[]) as p (id, by)
where o.id = p.id and o.state::text in ('waiting', 'pending', 'retrying', 'running')
returning o.id, o.job_id, o.state::text, o.worker_id, o.attempt, p.by, o.concurrency_key as key, o.slot < 0 as freed
