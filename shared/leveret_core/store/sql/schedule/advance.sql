-- $1 job ids, $2 next fire times (null: none), $3 last fired (null: unchanged), $4 how many fired
update job j
set next_fire_at = p.next_fire_at, last_fire_at = coalesce(p.last_fire_at, j.last_fire_at), runs = j.runs + p.fired
from unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[], $4::integer[]) as p (id, next_fire_at, last_fire_at, fired)
where j.id = p.id
