-- Has a worker end: the answer to its next heartbeat says so, and to each one until it drains. No row: it was told before. $1 id
update worker set state = 'draining' where id = $1 and stopped_at is null and state <> 'draining' returning id
