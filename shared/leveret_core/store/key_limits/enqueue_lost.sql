-- What waits for a token and is in no queue; there should be none, ever.
update occurrence o set ring_at = null
where o.state = 'pending' and o.ring_at = 'infinity'
  and not exists (select from rate_line n where n.occurrence_id = o.id and not n.told)
returning o.id
