-- A retry comes as long after now as it was to come after the end of its last attempt.
update occurrence o set retry_at = now() + (o.retry_at - a.finished_at)
from attempt a
where o.state = 'retrying' and o.retry_at > now() and a.occurrence_id = o.id and a.attempt = o.attempt and a.finished_at > now()
returning o.id
