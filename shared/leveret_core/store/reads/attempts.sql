-- All attempts of an occurrence, oldest first: those that were recorded, and the one in the occurrence's own row. $1 id
select t.attempt, t.state, t.worker_id, w.name as worker_name, t.started_at, t.finished_at, t.error
from (
    select a.attempt, a.state, a.worker_id, a.started_at, a.finished_at, a.error
    from attempt a
    where a.occurrence_id = $1
    union all
    select o.attempt, o.state::text, o.worker_id, o.started_at, o.finished_at, o.error
    from occurrence o
    where o.id = $1 and o.attempt > 0 and o.started_at is not null and o.state not in ('waiting', 'pending', 'retrying')
      and not exists (
          select from attempt a
          where a.occurrence_id = o.id and a.attempt = o.attempt and a.started_at is not distinct from o.started_at
      )
) t
left join worker w on w.id = t.worker_id
order by t.attempt, t.started_at
