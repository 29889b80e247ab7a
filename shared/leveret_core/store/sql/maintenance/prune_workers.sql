-- $1 days
delete from worker where stopped_at < now() - least($1, 7) * interval '1 day'
