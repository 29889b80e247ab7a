-- Retries whose time has come become pending. $1 how many
update occurrence o set state = 'pending', retry_at = null, ring_at = null, rings = 0
where o.id in (
    select id from occurrence where state = 'retrying' and retry_at <= now() order by retry_at limit $1 for update skip locked
)
returning o.id
