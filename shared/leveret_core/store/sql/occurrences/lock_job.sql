-- $1 job id. The lock orders everything that creates, ends or promotes occurrences of the job.
select id, concurrency, max_concurrent, max_waiting, deleted_at from job
where id = $1
for no key update
