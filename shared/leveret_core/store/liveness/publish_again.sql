-- Dispatch messages that would be published again later than any dispatch message is are published now. $1 ids
update occurrence set ring_at = now()
where id = any($1::bigint[]) and state = 'pending' and rings > 0 and ring_at > now() + interval '1 hour' and ring_at < 'infinity'
