-- The job and its lock, which orders everything that changes the job or creates its occurrences. $1 id or null, $2 name or null
select id, name, type, description, tags, payload, trigger, concurrency, max_concurrent, max_waiting, catch_up, catch_up_window,
       timeout, retry, max_runs, concurrency_key, priority, disable_after, runs, version, paused_at, next_fire_at, declaration,
       former_declarations
from job
where deleted_at is null and (id = $1 or name = $2)
for no key update
