-- Records of the attempt that holds the token, and of former attempts by their workers.
-- $1 ids, $2 attempts, $3 workers, $4 seqs, $5 times, $6 levels, $7 messages, $8 fields (JSON text), $9 tokens
insert into occurrence_log (occurrence_id, attempt, seq, at, level, message, fields)
select e.id, e.attempt, e.seq, e.at, e.level, e.message, e.fields::jsonb
from unnest(
    $1::bigint[], $2::integer[], $3::uuid[], $4::integer[], $5::timestamptz[], $6::text[], $7::text[], $8::text[], $9::uuid[]
) as e (id, attempt, worker_id, seq, at, level, message, fields, token)
where exists (
        select from occurrence o where o.id = e.id and o.worker_id = e.worker_id and o.attempt >= e.attempt
        and (o.attempt > e.attempt or o.claim_token is null or o.claim_token = e.token)
    )
   or exists (select from attempt a where a.occurrence_id = e.id and a.attempt = e.attempt and a.worker_id = e.worker_id)
on conflict do nothing
