-- no transaction
-- No two hold the same slot of a job and concurrency key.
create unique index concurrently if not exists occurrence_slot on occurrence (job_id, concurrency_key, slot) where slot > 0;
-- Without its statistics the planner would take a third of all rows for holders of slots.
analyze occurrence (slot);
