-- Jobs are due when their triggers say. The caller holds their locks; those that were changed meanwhile stay as they are.
-- $1 ids, $2 fire times as they were, $3 as they should be
with moved as (
    update job j set next_fire_at = p.due, missed_id = null, missed_to = null
    from unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[]) as p (id, was, due)
    where j.id = p.id and j.next_fire_at is not distinct from p.was and j.paused_at is null and j.deleted_at is null
    returning j.id, j.name, p.was, p.due
),
told as (
    insert into audit (actor, action, job_id, detail)
    select 'dispatcher', 'next_fire_mended', id, jsonb_build_object('was', was, 'next_fire_at', due) from moved
)
select id, name from moved
