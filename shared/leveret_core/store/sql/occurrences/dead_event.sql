-- $1 reason, $2 bytes
insert into dead_event (reason, body) values ($1, $2)
