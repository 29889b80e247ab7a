-- Forgets ingestors that have ended.
delete from ingestor where current_at < now() - interval '1 day'
