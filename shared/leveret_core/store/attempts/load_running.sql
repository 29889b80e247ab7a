-- Locks attempts that are to be ended, in one order for all. $1 ids
select id, job_id, state::text, attempt, claim_token, lost_count, released_count, snoozed_count, worker_id, retry::text, backfill_id,
    exists (select from job j where j.id = job_id and j.deleted_at is not null) as deleted
from occurrence where id = any($1::bigint[]) and state::text in ('running', 'cancelling')
order by id
for no key update
