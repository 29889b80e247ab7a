-- One running backfill with its job, both locked; no row while another transaction holds one of them: its turn comes again. `ahead` is
-- how many of its occurrences have not begun, `live` whether any has not ended. $1 id
select b.id, b.job_id, b.trigger::text, b.start_at, b.end_at, b.concurrency, b.max_concurrent, b.payload::text, b.reached,
       'backfill:' || b.id as queue, j.deleted_at is not null as deleted, j.next_fire_at,
       (
           select count(*) from occurrence o where o.backfill_id = b.id and o.state in ('waiting', 'pending')
       ) as ahead,
       exists (
           select from occurrence o
           where o.backfill_id = b.id and o.state in ('waiting', 'pending', 'running', 'cancelling', 'retrying')
       ) as live
from backfill b
join job j on j.id = b.job_id
where b.id = $1 and b.state = 'running'
for no key update of j, b skip locked
