-- Remembers what workers got wrong; the same again only counts. $1 worker ids, $2 kinds, $3 reasons, $4 names as far as the messages told
-- them, $5 how often
insert into refusal (worker_id, kind, reason, worker_name, count)
select r.worker_id, r.kind, r.reason, coalesce(w.name, r.name), r.count
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[]) as r (worker_id, kind, reason, name, count)
left join worker w on w.id = r.worker_id
order by r.worker_id, r.kind, r.reason
on conflict (worker_id, kind, reason) do update
set count = refusal.count + excluded.count, last_at = now(), worker_name = excluded.worker_name
returning worker_id, kind, reason, worker_name
