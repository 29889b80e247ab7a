-- Notes what a worker declares; no row when it is not known, or has ended. $1 id, $2 digests
with live as (
    select id, declarations from worker where id = $1 and stopped_at is null
),
noted as (
    update worker w set declarations = $2 from live where w.id = live.id and live.declarations <> $2::text[]
)
select id from live
