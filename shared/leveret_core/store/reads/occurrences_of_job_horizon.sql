-- Where the scan of `occurrences_of_job` ended. $1 planned before, $2 how many, $3 job
select min(scheduled_for) as scheduled_for, count(*) as scanned from (
    select scheduled_for from occurrence
    where job_id = $3 and scheduled_for < coalesce($1::timestamptz, 'infinity')
    order by scheduled_for desc
    limit $2
) s
