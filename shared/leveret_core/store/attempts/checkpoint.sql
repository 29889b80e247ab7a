-- Keeps the latest checkpoint of an attempt that runs. $1 ids, $2 attempts, $3 tokens, $4 seqs, $5 data (JSON text)
update occurrence o set checkpoint = e.data::jsonb, checkpoint_attempt = e.attempt, checkpoint_seq = e.seq
from unnest($1::bigint[], $2::integer[], $3::uuid[], $4::integer[], $5::text[]) as e (id, attempt, token, seq, data)
where o.id = e.id and o.attempt = e.attempt and o.claim_token = e.token and o.state::text in ('running', 'cancelling')
  and (o.checkpoint_attempt is distinct from e.attempt or o.checkpoint_seq < e.seq)
