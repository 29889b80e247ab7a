-- no transaction
create index concurrently if not exists occurrence_scheduled on occurrence (scheduled_for, id) where state = 'scheduled';
