select count(*) as total, count(paused_at) as paused from job where deleted_at is null
