-- Gives back the slots of occurrences that are final. $1 occurrence ids
delete from slot where occurrence_id = any($1::bigint[]) returning job_id, key
