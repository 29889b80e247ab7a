-- The runs of these jobs that are due, in order; the caller holds the jobs' locks. $1 job ids, $2 how many
select o.id, o.job_id, o.type, o.scheduled_for, key_of(j.concurrency_key, o.payload) as key
from (
    select id, job_id, type, scheduled_for, payload from occurrence
    where state = 'scheduled' and scheduled_for <= now() and job_id = any($1::bigint[])
    order by scheduled_for, id
    limit $2
    for no key update
) o
join job j on j.id = o.job_id
order by o.scheduled_for, o.id
