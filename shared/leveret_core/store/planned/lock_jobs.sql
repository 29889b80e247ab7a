-- Locks, in one order for all, the jobs of the runs that are due first; those that another transaction holds come with the next
-- look. $1 how many runs
select j.id, j.concurrency, j.max_concurrent, j.max_waiting, j.deleted_at is not null as deleted
from job j
where j.id in (
    select d.job_id from (
        select job_id from occurrence where state = 'scheduled' and scheduled_for <= now() order by scheduled_for, id limit $1
    ) d
)
order by j.id
for no key update skip locked
