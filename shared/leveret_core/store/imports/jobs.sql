-- The jobs that came from a source, locked in the order in which everybody locks jobs. $1 source
select id, name, type, description, tags, payload, trigger, concurrency, max_concurrent, max_waiting, catch_up, catch_up_window,
       timeout, retry, max_runs, concurrency_key, priority, disable_after, runs, version, paused_at, next_fire_at, declaration,
       former_declarations, import_key, imported
from job
where import_source = $1 and deleted_at is null
order by id
for no key update
