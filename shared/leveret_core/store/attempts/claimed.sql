-- What the desk answers about occurrences that it did not just give away. What an attempt needs is read only where one of the asking
-- workers holds it. $1 ids, $2 worker ids
select o.id, o.state::text, o.attempt, o.worker_id, o.claim_token, o.type, o.job_name, o.job_id, o.job_version,
       case when o.worker_id = any($2::uuid[]) then o.payload::text end as payload, o.scheduled_for, o.timeout, o.retry::text,
       case when o.worker_id = any($2::uuid[]) then o.checkpoint::text end as checkpoint
from occurrence o where o.id = any($1::bigint[])
