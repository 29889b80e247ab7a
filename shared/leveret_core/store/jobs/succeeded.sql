-- The jobs of those of the occurrences that succeeded, backfills apart. $1 occurrence ids
select distinct job_id from occurrence where id = any($1::bigint[]) and state = 'succeeded' and backfill_id is null
