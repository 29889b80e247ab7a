-- $1 id
select job_id from backfill where id = $1
