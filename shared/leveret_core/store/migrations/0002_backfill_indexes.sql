-- no transaction
-- History may be long, and is written to meanwhile.
create index concurrently if not exists occurrence_backfill on occurrence (backfill_id, state, id) where backfill_id is not null;

create index concurrently if not exists occurrence_dead on occurrence (finished_at, id) include (job_id, type)
    where state in ('failed', 'timed_out') and resolution is null;
