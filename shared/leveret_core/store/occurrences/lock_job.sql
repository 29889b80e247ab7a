-- The lock orders everything that creates, ends or admits occurrences of the job. $1 job id, $2 payload (JSON text) instead of the
-- job's, whose concurrency key is wanted
select id, concurrency, max_concurrent, max_waiting, deleted_at, key_of(concurrency_key, coalesce($2::jsonb, payload)) as key
from job
where id = $1
for no key update
