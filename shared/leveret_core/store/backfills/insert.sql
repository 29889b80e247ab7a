-- A new backfill of a job whose lock the caller holds. $1 job id, $2 trigger (JSON text), $3 start_at, $4 end_at, $5 concurrency,
-- $6 max_concurrent, $7 payload (JSON text; null: the job's), $8 fire times in all
insert into backfill (job_id, job_name, trigger, start_at, end_at, concurrency, max_concurrent, payload, total)
select id, name, $2::jsonb, $3, $4, $5, $6, $7::jsonb, $8 from job where id = $1
returning id
