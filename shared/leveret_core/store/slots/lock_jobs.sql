-- Locks, in one order for all, the jobs whose slots the occurrences $1 hold, the jobs of the occurrences $2, which may fail, and those of the
-- occurrences $3 that have failures to forget, should these succeed; see claim.sql for `state::text`. `coalesce` keeps the planner off the
-- index of slots, and `offset 0` off the histories of jobs that fail: each occurrence is one look-up by primary key.
select j.id from job j
where j.id in (
    select o.job_id from occurrence o where o.id = any($1::bigint[]) and coalesce(o.slot, 0) > 0
    union all
    select s.job_id from slot_of_last_release s where s.occurrence_id = any($1::bigint[])
    union all
    select o.job_id from occurrence o where o.id = any($2::bigint[])
    union all
    select s.job_id from (
        select o.job_id from occurrence o where o.id = any($3::bigint[]) and o.state::text in ('running', 'cancelling') offset 0
    ) s
    join job f on f.id = s.job_id
    where f.failures > 0
)
order by j.id
for no key update
