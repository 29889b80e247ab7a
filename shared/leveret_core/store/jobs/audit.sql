-- $1 actor, $2 action, $3 job id, $4 detail (JSON text)
insert into audit (actor, action, job_id, detail) values ($1, $2, $3, $4::jsonb)
