-- One with its bytes. $1 id
select id, at, kind, reason, worker_id, worker_name, occurrence_id, attempt, coalesce(size, length(body)) as size, body
from dead_event where id = $1
