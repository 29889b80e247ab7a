-- Runs that were to begin at once, a moment before the clock was set back.
update occurrence
set scheduled_for = now() - interval '1 second' + (id % 900000) * interval '1 microsecond'
where state = 'scheduled' and created_at > now() and scheduled_for > now() and scheduled_for <= created_at + interval '1 second'
returning id
