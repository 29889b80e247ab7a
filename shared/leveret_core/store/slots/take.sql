-- $1 job ids, $2 keys, $3 slot numbers, $4 occurrence ids
insert into slot (job_id, key, n, occurrence_id) select * from unnest($1::bigint[], $2::text[], $3::integer[], $4::bigint[])
