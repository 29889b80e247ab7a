-- How many came within the last day.
select count(*) from dead_event where at > now() - interval '1 day'
