-- Retries without a time are due now. $1 ids
update occurrence set retry_at = now() where id = any($1::bigint[]) and state = 'retrying' and retry_at is null
