-- $1 id. No row: it is not known, or has ended already.
update worker set state = 'stopped', stopped_at = now(), running = 0 where id = $1 and stopped_at is null returning id
