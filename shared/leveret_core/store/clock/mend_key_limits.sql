-- As mend_limits.sql, and what is first in a queue waits no longer than a bucket takes to fill.
update rate_bucket b
set filled_at = least(b.filled_at, clock_timestamp()),
    ready_at = least(clock_timestamp() + greatest(interval '0', b.ready_at - b.filled_at), clock_timestamp() + l.per * interval '1 second')
from rate_limit_by_key l
where l.type = b.type
  and (b.filled_at > clock_timestamp() or b.ready_at > clock_timestamp() + (l.per + 5) * interval '1 second')
