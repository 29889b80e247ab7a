-- These doorbells did not reach a queue: ring them anew when there is room. $1 ids
update occurrence set ring_at = null where id = any($1::bigint[]) and state = 'pending' returning type
