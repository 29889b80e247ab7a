-- $1 the tasks of the dispatcher that do not do their work (JSON text)
update dispatcher_finding set failing = $1::jsonb, failing_at = now() where name = 'dispatcher'
