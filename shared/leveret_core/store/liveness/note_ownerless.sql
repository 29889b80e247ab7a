-- $1 how many, $2 some of them (JSON text)
update dispatcher_finding set looked_at = now(), ownerless = $1, examples = $2::jsonb where name = 'dispatcher'
