-- Attempts that run by the tables, and that their worker, which lives and names what it holds, does not name. Those that began shortly
-- before its last heartbeat may be on their way to it. $1 seconds of that, $2 how many
select o.id, o.attempt, o.claim_token, w.id as worker_id, w.name, w.heartbeat_at
from worker w
join occurrence o on o.worker_id = w.id and o.state in ('running', 'cancelling')
where w.stopped_at is null and w.holding is not null
  and o.started_at < w.heartbeat_at - $1 * interval '1 second'
  and o.id <> all(w.holding)
order by o.id
limit $2
