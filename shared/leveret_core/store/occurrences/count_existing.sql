-- How many of these there are already, by their time or by their idempotency key. $1 job ids, $2 scheduled_for, $3 idempotency keys
select count(*) from unnest($1::bigint[], $2::timestamptz[], $3::text[]) as p (job_id, scheduled_for, idempotency_key)
where exists (select from occurrence o where o.job_id = p.job_id and o.scheduled_for = p.scheduled_for)
   or exists (select from occurrence o where o.job_id = p.job_id and o.idempotency_key = p.idempotency_key)
