-- Fills in blockers that were created in the same batch. $1 ids, $2 blocker ids
update occurrence o set blocker_id = p.blocker_id
from unnest($1::bigint[], $2::bigint[]) as p (id, blocker_id)
where o.id = p.id
