-- Cancels at once what does not run, and asks for the end of what does. $1 id, $2 reason. No row: it is final, or cancelling already.
update occurrence o
set state = case when o.state = 'running' then 'cancelling' else 'cancelled' end::occurrence_state,
    reason = $2,
    retry_at = null,
    slot = case when o.state = 'running' then o.slot else -o.slot end,
    finished_at = case when o.state = 'running' then null else now() end
where o.id = $1 and o.state in ('scheduled', 'waiting', 'pending', 'retrying', 'running')
returning o.state::text, o.worker_id, o.attempt, o.id, o.job_id, o.concurrency_key as key, o.slot < 0 as freed
