-- Frees the slots that replicas of the release before gave to occurrences that are final. $1 occurrence ids
delete from slot_of_last_release where occurrence_id = any($1::bigint[]) returning job_id, key
