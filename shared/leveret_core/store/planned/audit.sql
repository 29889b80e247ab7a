-- $1 actor, $2 job ids, $3 occurrence ids, $4 details (JSON text)
insert into audit (actor, action, job_id, occurrence_id, detail)
select $1, 'trigger', a.job_id, a.occurrence_id, a.detail::jsonb
from unnest($2::bigint[], $3::bigint[], $4::text[]) as a (job_id, occurrence_id, detail)
