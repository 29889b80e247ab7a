-- Whether Postgres answers, and seconds since the dispatcher last had done what was to be done: null if there never was one.
select extract(epoch from clock_timestamp() - progress_at)::double precision from term where name = 'dispatcher'
