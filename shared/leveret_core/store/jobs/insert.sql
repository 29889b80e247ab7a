-- A new job; no row when its name is taken. $1 name, $2 type, $3 description, $4 tags, $5 payload, $6 trigger, $7 concurrency,
-- $8 max_concurrent, $9 max_waiting, $10 catch_up, $11 catch_up_window, $12 timeout, $13 retry, $14 max_runs, $15 concurrency_key,
-- $16 priority, $17 disable_after, $18 next_fire_at
insert into job (
    name, type, description, tags, payload, trigger, concurrency, max_concurrent, max_waiting, catch_up, catch_up_window, timeout,
    retry, max_runs, concurrency_key, priority, disable_after, next_fire_at
)
values ($1, $2, $3, $4, $5::jsonb, $6::jsonb, $7, $8, $9, $10, $11, $12, $13::jsonb, $14, $15, $16, $17, $18)
on conflict (name) where deleted_at is null do nothing
returning id
