-- Takes dead letters out of the view, in one order for all. $1 ids, $2 actor, $3 detail for the audit (JSON text)
with wanted as (
    select id from occurrence
    where id = any($1::bigint[]) and state in ('failed', 'timed_out') and resolution is null
    order by id
    for no key update
),
discarded as (
    update occurrence o set resolution = 'discarded'
    from wanted w
    where o.id = w.id and o.resolution is null
    returning o.id, o.job_id
),
audited as (
    insert into audit (actor, action, job_id, occurrence_id, detail)
    select $2, 'discard', job_id, id, $3::jsonb from discarded
)
select id from discarded
