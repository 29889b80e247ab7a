-- Lets these into their rate limit queues again, if they still wait in none. $1 occurrence ids
update occurrence o set ring_at = null
where o.id = any($1::bigint[]) and o.state = 'pending' and o.ring_at = 'infinity'
  and not exists (select from rate_line n where n.occurrence_id = o.id and not n.told)
returning o.id
