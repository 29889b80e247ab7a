-- Seconds until the next run that was planned for later is due; null when none is.
select extract(epoch from min(scheduled_for) - clock_timestamp())::double precision from occurrence where state = 'scheduled'
