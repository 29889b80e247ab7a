-- $1 id
delete from dead_event where id = $1 returning id
