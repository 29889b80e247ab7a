-- $1 days. What they got wrong goes with them.
with gone as (
    delete from worker where stopped_at < now() - least($1, 7) * interval '1 day'
)
delete from refusal where last_at < now() - least($1, 7) * interval '1 day'
