-- Counts occurrences that failed for good, and pauses the jobs that had too many in a row; the caller holds the jobs' locks. A paused
-- job keeps the reason it has. $1 job ids, $2 how many, $3 the last error of each
update job j
set failures = j.failures + f.count,
    paused_at = case when n.disable then clock_timestamp() else j.paused_at end,
    pause_reason = case when n.disable then n.reason else j.pause_reason end,
    next_fire_at = case when n.disable then null else j.next_fire_at end,
    updated_at = case when n.disable then clock_timestamp() else j.updated_at end
from unnest($1::bigint[], $2::integer[], $3::text[]) as f (id, count, error)
join job b on b.id = f.id
cross join lateral (
    select b.paused_at is null and b.deleted_at is null and b.failures + f.count >= b.disable_after as disable,
           'disabled after ' || b.failures + f.count || ' failure' || case when b.failures + f.count = 1 then '' else 's' end
           || ' in a row; the last: ' || f.error as reason
) n
where j.id = f.id
returning j.id, j.name, coalesce(n.disable, false) as disabled, j.pause_reason
