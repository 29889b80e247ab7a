-- The next jobs to be due. $1 how many
select id, name, next_fire_at from job where next_fire_at is not null order by next_fire_at limit $1
