-- Runs that are due begin, wait, or are skipped or cancelled. $1 ids, $2 states, $3 reasons, $4 blockers, $5 concurrency keys,
-- $6 seconds until the publisher publishes (null: no worker has been told), $7 times published, $8 slots (null: none), $9 epoch
update occurrence o
set state = a.state::occurrence_state, reason = a.reason, blocker_id = a.blocker_id, concurrency_key = a.key,
    ring_at = now() + a.publish_in * interval '1 second', rings = a.rings, slot = a.slot, epoch = $9,
    finished_at = case when a.state in ('skipped', 'cancelled') then now() end
from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::double precision[], $7::integer[], $8::integer[])
    as a (id, state, reason, blocker_id, key, publish_in, rings, slot)
where o.id = a.id and o.state = 'scheduled'
returning o.id
