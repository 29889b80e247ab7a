-- $1 ids, $2 attempts, $3 tokens, $4 seqs, $5 progress (JSON text)
update occurrence o set progress = e.progress::jsonb, seq = e.seq
from unnest($1::bigint[], $2::integer[], $3::uuid[], $4::integer[], $5::text[]) as e (id, attempt, token, seq, progress)
where o.id = e.id and o.attempt = e.attempt and o.claim_token = e.token and o.seq < e.seq and o.state::text in ('running', 'cancelling')
