-- Attempts past their timeout whose worker was heard after it and said nothing of them. A worker that was silent since before may be
-- dead: what it ran is lost with its lease, not late. $1 seconds of grace, $2 how many
select o.id from occurrence o
join worker w on w.id = o.worker_id
where o.state in ('running', 'cancelling') and o.timeout is not null
  and o.started_at + (o.timeout + $1) * interval '1 second' < now()
  and w.heartbeat_at >= o.started_at + o.timeout * interval '1 second'
limit $2
