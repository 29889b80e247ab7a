-- The tokens in a type's bucket now, with the lock of its row, and how many dispatch messages of it are unanswered; of those whose first
-- publishing was deferred workers have not been told yet. No row: the type is not limited any more. $1 type
select least(count, tokens + greatest(0, extract(epoch from clock_timestamp() - filled_at)::double precision) * count / per) as tokens,
       clock_timestamp() as at, count, per / count as seconds_each,
       (select count(*) from occurrence where state = 'pending' and ring_at is not null and type = $1 and rings > 0) as unanswered
from rate_limit
where type = $1
for update
