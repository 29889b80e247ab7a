-- Takes a dead letter out of the view; no row when it is none, or was dealt with. $1 id, $2 resolution
update occurrence set resolution = $2
where id = $1 and state in ('failed', 'timed_out') and resolution is null
returning true
