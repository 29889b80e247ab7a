-- Replaces the definition of a job whose lock the caller holds; no row when nothing differs, which Postgres decides, because it
-- knows that 1.0 is 1 in JSON and that true is not. $1 to $17 as in insert, $18 next_fire_at, $19 id.
-- Another limit of failures counts from now
with differing as (
    select j.id, array_remove(array[
        case when j.name <> $1 then 'name' end,
        case when j.type <> $2 then 'type' end,
        case when j.description <> $3 then 'description' end,
        case when j.tags <> $4::text[] then 'tags' end,
        case when j.payload <> $5::jsonb then 'payload' end,
        case when j.trigger <> $6::jsonb then 'trigger' end,
        case when j.concurrency <> $7 then 'concurrency' end,
        case when j.max_concurrent <> $8 then 'max_concurrent' end,
        case when j.max_waiting <> $9 then 'max_waiting' end,
        case when j.catch_up <> $10 then 'catch_up' end,
        case when j.catch_up_window <> $11 then 'catch_up_window' end,
        case when j.timeout is distinct from $12 then 'timeout' end,
        case when j.retry <> $13::jsonb then 'retry' end,
        case when j.max_runs is distinct from $14 then 'max_runs' end,
        case when j.concurrency_key is distinct from $15 then 'concurrency_key' end,
        case when j.priority <> $16 then 'priority' end,
        case when j.disable_after is distinct from $17 then 'disable_after' end
    ], null) as fields
    from job j
    where j.id = $19
)
update job j
set name = $1, type = $2, description = $3, tags = $4, payload = $5::jsonb, trigger = $6::jsonb, concurrency = $7,
    max_concurrent = $8, max_waiting = $9, catch_up = $10, catch_up_window = $11, timeout = $12, retry = $13::jsonb, max_runs = $14,
    concurrency_key = $15, priority = $16, disable_after = $17, next_fire_at = $18,
    failures = case when 'disable_after' = any(d.fields) then 0 else j.failures end,
    version = j.version + 1, updated_at = clock_timestamp()
from differing d
where j.id = d.id and d.fields <> '{}'
returning d.fields, j.version
