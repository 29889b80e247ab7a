-- How many there are.
select count(*) from dead_event
