-- What stays the same of a worker as long as it lives: the digest of its secret, and the patterns of its handlers. $1 ids
select id, secret, array(select h ->> 'pattern' from jsonb_array_elements(handlers) as h) as patterns
from worker where id = any($1::uuid[]) and stopped_at is null
