-- One look-up by primary key each; see claim.sql for `state::text`.
-- $1 ids, $2 attempts, $3 tokens, $4 seqs, $5 seconds, $6 results (JSON text)
update occurrence o
set state = 'succeeded', seq = e.seq, result = e.result::jsonb,
    finished_at = greatest(o.started_at, least(now(), o.started_at + e.duration * interval '1 second'))
from unnest($1::bigint[], $2::integer[], $3::uuid[], $4::integer[], $5::double precision[], $6::text[])
    as e (id, attempt, token, seq, duration, result)
where o.id = e.id and o.attempt = e.attempt and o.claim_token = e.token and o.state::text in ('running', 'cancelling')
returning o.id, o.job_id, o.backfill_id
