-- $1 actor, $2 action, $3 detail (JSON text)
insert into audit (actor, action, detail) values ($1, $2, $3::jsonb)
