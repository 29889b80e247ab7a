-- Locks, in one order for all, the jobs whose slots the occurrences $1 hold, and the jobs of the occurrences $2, which may fail.
select j.id from job j
where j.id in (
    select s.job_id from slot s where s.occurrence_id = any($1::bigint[])
    union all
    select o.job_id from occurrence o where o.id = any($2::bigint[])
)
order by j.id
for no key update
