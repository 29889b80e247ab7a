-- $1 job ids, $2 the key of each
select s.job_id, s.key, s.n, s.occurrence_id from slot s
join unnest($1::bigint[], $2::text[]) as l (job_id, key) on s.job_id = l.job_id and s.key = l.key
