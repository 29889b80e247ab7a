-- Attempts past their timeout whose worker said nothing. $1 seconds of grace, $2 how many
select id from occurrence
where state in ('running', 'cancelling') and timeout is not null
  and started_at + (timeout + $1) * interval '1 second' < now()
limit $2
