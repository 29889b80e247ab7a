-- Ends what of a backfill has not begun, and with $3 asks for the end of what runs. Rows are locked in one order. $1 id, $2 reason,
-- $3 whether what runs ends, too
with wanted as (
    select id from occurrence
    where backfill_id = $1
      and (state in ('waiting', 'pending', 'retrying') or ($3 and state = 'running'))
    order by id
    for update
)
update occurrence o
set state = case when o.state = 'running' then 'cancelling' else 'cancelled' end::occurrence_state,
    reason = $2,
    retry_at = null,
    slot = case when o.state = 'running' then o.slot else -o.slot end,
    finished_at = case when o.state = 'running' then null else clock_timestamp() end
from wanted w
where o.id = w.id and (o.state in ('waiting', 'pending', 'retrying') or ($3 and o.state = 'running'))
returning o.id, o.state::text, o.worker_id, o.attempt, o.job_id, o.concurrency_key as key, o.slot < 0 as freed
