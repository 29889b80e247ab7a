-- Occurrences by their idempotency keys. $1 positions, $2 job ids, $3 keys
select k.position, o.id
from unnest($1::integer[], $2::bigint[], $3::text[]) as k (position, job_id, key)
join occurrence o on o.job_id = k.job_id and o.idempotency_key = k.key
