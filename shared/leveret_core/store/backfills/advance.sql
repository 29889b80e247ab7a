-- $1 id, $2 the last fire time that was dealt with, $3 how many were created, $4 how many had an occurrence
update backfill set reached = $2, created = created + $3, existing = existing + $4 where id = $1
