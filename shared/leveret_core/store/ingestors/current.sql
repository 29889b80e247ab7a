-- An ingestor has read all that it was given before $2. $1 id
insert into ingestor (id, current_at) values ($1, $2)
on conflict (id) do update set current_at = greatest(ingestor.current_at, excluded.current_at)
