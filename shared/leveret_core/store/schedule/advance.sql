-- $1 job ids, $2 next fire times (null: none), $3 last fired (null: unchanged), $4 how many fired, $5 the record of missed ticks that
-- those from $2 on belong to (null: none)
update job j
set next_fire_at = p.next_fire_at, last_fire_at = coalesce(p.last_fire_at, j.last_fire_at), runs = j.runs + p.fired,
    missed_id = p.missed_id, missed_to = case when p.missed_id is not null then p.next_fire_at end
from unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[], $4::integer[], $5::bigint[])
    as p (id, next_fire_at, last_fire_at, fired, missed_id)
where j.id = p.id
