-- What live workers announce, and how many of them announce the same.
select handlers::text, count(*)::integer as workers from worker where stopped_at is null group by handlers::text
