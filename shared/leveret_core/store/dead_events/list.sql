-- A page of dead events, newest first. $1 id below, $2 worker, $3 occurrence (null passes all), $4 how many
select id, at, kind, reason, worker_id, worker_name, occurrence_id, attempt, coalesce(size, length(body)) as size
from dead_event
where ($1::bigint is null or id < $1) and ($2::uuid is null or worker_id = $2) and ($3::bigint is null or occurrence_id = $3)
order by id desc
limit $4
