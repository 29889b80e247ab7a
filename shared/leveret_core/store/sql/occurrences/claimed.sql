-- What the desk answers about occurrences that it did not just give away. $1 ids
select o.id, o.state::text, o.attempt, o.worker_id, o.claim_token, o.type, o.job_name, o.job_id, o.job_version, o.payload::text,
       o.scheduled_for, o.timeout, o.retry::text, o.checkpoint::text
from occurrence o where o.id = any($1::bigint[])
