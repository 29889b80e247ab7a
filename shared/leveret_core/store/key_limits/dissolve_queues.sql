-- The rate limit queues of a type are no more: workers are told of what waited in them as of all else. $1 type
with gone as (
    delete from rate_line where type = $1 returning occurrence_id, told
),
buckets as (
    delete from rate_bucket where type = $1
)
update occurrence o set ring_at = null
from gone where o.id = gone.occurrence_id and not gone.told and o.state = 'pending' and o.ring_at = 'infinity'
