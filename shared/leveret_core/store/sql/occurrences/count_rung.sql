-- Doorbells that nobody has answered yet, by type.
select type, count(*) as rung from occurrence where state = 'pending' and ring_at is not null group by type
