-- $1 actor, $2 action, $3 job id, $4 occurrence id, $5 detail (JSON text)
insert into audit (actor, action, job_id, occurrence_id, detail) values ($1, $2, $3, $4, $5::jsonb)
