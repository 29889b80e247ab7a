-- These dispatch messages did not reach a queue: publish them anew when there is room. $1 ids
update occurrence set ring_at = null where id = any($1::bigint[]) and state = 'pending' returning type
