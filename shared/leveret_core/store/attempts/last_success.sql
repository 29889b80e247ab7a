-- For each occurrence, what the latest success of its job before it was scheduled for, looked for among the 10,000 occurrences
-- before it. $1 ids
select o.id, (
    select s.scheduled_for from (
        select p.state, p.scheduled_for from occurrence p
        where p.job_id = o.job_id and p.scheduled_for < o.scheduled_for
        order by p.scheduled_for desc
        limit 10000
    ) s
    where s.state = 'succeeded'
    order by s.scheduled_for desc
    limit 1
) as last_success_at
from occurrence o
where o.id = any($1::bigint[])
