-- What began in the future began now: the server's own limit on a timeout counts from there.
update occurrence set started_at = now()
where state in ('running', 'cancelling') and started_at > now()
