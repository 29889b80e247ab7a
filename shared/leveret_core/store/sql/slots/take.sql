-- $1 job ids, $2 slot numbers, $3 occurrence ids
insert into slot (job_id, n, occurrence_id) select * from unnest($1::bigint[], $2::integer[], $3::bigint[])
