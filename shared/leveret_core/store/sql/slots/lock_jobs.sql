-- Locks, in one order for all, the jobs whose slots the occurrences hold. $1 occurrence ids
select j.id from job j
where j.id in (select s.job_id from slot s where s.occurrence_id = any($1::bigint[]))
order by j.id
for no key update
