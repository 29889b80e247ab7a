-- Those that have begun or will not begin.
delete from rate_line n
where not exists (select from occurrence o where o.id = n.occurrence_id and o.state = 'pending')
