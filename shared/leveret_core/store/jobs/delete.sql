-- Its name is free from now on, and it is never due again. $1 id
update job set deleted_at = clock_timestamp(), next_fire_at = null, updated_at = clock_timestamp() where id = $1
