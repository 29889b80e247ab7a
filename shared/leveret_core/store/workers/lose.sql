-- Declares workers lost whose lease is over. $1 how many
update worker set state = 'lost', stopped_at = now(), running = 0
where id in (
    select id from worker where stopped_at is null and lease_until < now() order by lease_until limit $1 for update skip locked
)
returning id, name
