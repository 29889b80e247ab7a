-- Which of the workers are alive. $1 ids
select id from worker where id = any($1::uuid[]) and stopped_at is null
