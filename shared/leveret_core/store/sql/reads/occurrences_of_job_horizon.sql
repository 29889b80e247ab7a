-- Where the scan of `occurrences_of_job` ended. $1 below, $2 how many, $3 job
select min(id) as id, count(*) as scanned from (
    select id from occurrence where job_id = $3 and id < $1 order by id desc limit $2
) s
